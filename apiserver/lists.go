package apiserver

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliveries"
)

// defaultLimit is how many deliveries a page holds where the request says nothing.
const defaultLimit = 50

// list answers one page.
func (s *server) list(ctx context.Context, filter postdate.Filter, limit int, cursor string) (DeliveryList, error) {
	if err := filter.Validate(); err != nil {
		return DeliveryList{}, err
	}
	var after deliveries.Cursor
	if cursor != "" {
		if err := s.openCursor(filter, cursor, &after); err != nil {
			return DeliveryList{}, err
		}
	}
	summaries, next, err := s.Deliveries.List(ctx, filter, after, cmp.Or(limit, defaultLimit))
	if err != nil {
		return DeliveryList{}, err
	}
	page := DeliveryList{Data: make([]DeliverySummary, len(summaries)), HasMore: next != deliveries.Cursor{}}
	if page.HasMore {
		page.NextCursor = s.cursor(filter, next)
	}
	for i, summary := range summaries {
		page.Data[i] = s.summaryOf(summary)
	}
	return page, nil
}

// errCursor refuses a cursor that is none of ours, or another list's.
var errCursor = postdate.Errorf(postdate.Invalid, "/cursor",
	"not the next_cursor of a page with these filters: start again without a cursor")

// seal is the MAC of a cursor: of its token, and of what identifies its list. Each of the
// operator's keys makes another.
func seal(key [32]byte, list any, token []byte) []byte {
	mac := hmac.New(sha256.New, key[:])
	fmt.Fprintf(mac, "cursor\n%s\n%s", mustMarshal(list), token)
	return mac.Sum(nil)[:sealSize]
}

const sealSize = 16

// cursor is a position in a list, sealed. It stays valid when what stood there is deleted.
func (s *server) cursor(list, position any) string {
	token := mustMarshal(position)
	return base64.RawURLEncoding.EncodeToString(append(seal(s.keyHashes[0], list, token), token...))
}

// openCursor is the inverse of cursor.
func (s *server) openCursor(list any, cursor string, position any) error {
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(sealed) <= sealSize {
		return errCursor
	}
	token := sealed[sealSize:]
	ours := slices.ContainsFunc(s.keyHashes, func(key [32]byte) bool { return hmac.Equal(sealed[:sealSize], seal(key, list, token)) })
	if !ours || json.Unmarshal(token, position) != nil {
		return errCursor
	}
	return nil
}

func mustMarshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // what was decoded can be encoded
	}
	return text
}
