package workflows

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/protocol"
)

// maxKeys bounds the entities and types of which the latest message is known: see
// maxLines. At the bound the messages of other keys are sent without being coalesced,
// until lines with known keys are done.
const maxKeys = 10_000

// coalesce enters which messages of a line are the latest of their entity and type, and
// marks those that are superseded by a later one.
func (e *endpoint) coalesce(line *queued, keys []string) {
	if !e.Settings.Coalesce && e.Known {
		return
	}
	for place, key := range keys {
		if key == "" || place >= protocol.MaxLine {
			continue
		}
		key, entry := shortKey(key), protocol.LatestEntry{Line: line.ID, Place: place}
		latest, known := e.Latest[key]
		switch {
		case !known:
			if len(e.Latest) >= maxKeys {
				continue
			}
		case latest == entry:
			continue
		case e.later(entry, latest):
			before := e.queue.byID[latest.Line]
			e.queue.supersede(before, latest.Place)
			before.keys = without(before.keys, key)
		default:
			e.queue.supersede(line, place)
			continue
		}
		if e.Latest == nil {
			e.Latest = map[string]protocol.LatestEntry{}
		}
		e.Latest[key] = entry
		line.keys = append(line.keys, key)
	}
}

// later reports whether a is later than b: lines are in the order of time.
func (e *endpoint) later(a, b protocol.LatestEntry) bool {
	if a.Line == b.Line {
		return a.Place > b.Place
	}
	return e.queue.byID[b.Line].before(e.queue.byID[a.Line])
}

// forgetKeys forgets the keys of a line that goes.
func (e *endpoint) forgetKeys(line *queued) {
	for _, key := range line.keys {
		delete(e.Latest, key)
	}
	line.keys = nil
}

// indexKeys notes with each line the keys that name it, and forgets those of lines that
// are gone: earlier versions left them behind. It runs once in each run.
func (e *endpoint) indexKeys() {
	for _, key := range workflow.DeterministicKeys(e.Latest) {
		if line, ok := e.queue.byID[e.Latest[key].Line]; ok {
			line.keys = append(line.keys, key)
		} else {
			delete(e.Latest, key)
		}
	}
}

// coalescingFull is what health says of coalescing where the bound is reached.
const coalescingFull = "full"

func (e *endpoint) coalescing() string {
	if e.Settings.Coalesce && len(e.Latest) >= maxKeys {
		return coalescingFull
	}
	return ""
}

// without removes key, which is one of at most [protocol.MaxLine].
func without(keys []string, key string) []string {
	if at := slices.Index(keys, key); at >= 0 {
		return slices.Delete(keys, at, at+1)
	}
	return keys
}

// shortKey stands for an entity and type, in few bytes.
func shortKey(key string) string {
	hash := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(hash[:12])
}
