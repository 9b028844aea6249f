package webhook

import (
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/postdate/postdate"
)

const (
	// maxDrain is how many bytes past those kept are read, and thrown away, so
	// that the connection can be used again. A longer answer costs its sender
	// the connection.
	maxDrain = 64 << 10
	// maxExcerpt bounds what of a receiver's words stands in an error, in bytes.
	maxExcerpt = 200
)

// readBody reads the beginning of an answer's body as text. The error says why
// not all of that came; what came before is there.
func readBody(response *http.Response) (string, error) {
	if response.StatusCode == http.StatusSwitchingProtocols {
		return "", nil // what follows is not HTTP, and would never end
	}
	kept, err := io.ReadAll(io.LimitReader(response.Body, postdate.MaxResponse))
	if len(kept) == postdate.MaxResponse && err == nil {
		_, _ = io.CopyN(io.Discard, response.Body, maxDrain)
	}
	return text(kept, postdate.MaxResponse), err
}

// text is raw as valid UTF-8, at most limit bytes of it. What is not valid is
// replaced by U+FFFD, except that a last character cut in two is left out.
func text(raw []byte, limit int) string {
	if len(raw) >= limit {
		raw = wholeCharacters(raw[:limit])
	}
	valid := strings.ToValidUTF8(string(raw), string(utf8.RuneError))
	if len(valid) > limit { // what was replaced may have grown
		valid = string(wholeCharacters([]byte(valid[:limit])))
	}
	return valid
}

// wholeCharacters is raw without the beginning of a character at its end.
func wholeCharacters(raw []byte) []byte {
	for i := 1; i <= min(utf8.UTFMax-1, len(raw)); i++ {
		if rest := raw[len(raw)-i:]; utf8.RuneStart(rest[0]) {
			if !utf8.FullRune(rest) {
				return raw[:len(raw)-i]
			}
			break
		}
	}
	return raw
}

// excerpt is the beginning of what a receiver said, fit to stand in an error.
func excerpt(said string) string { return text([]byte(said), maxExcerpt) }
