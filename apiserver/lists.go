package apiserver

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

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
	after, err := s.openCursor(filter, cursor)
	if err != nil {
		return DeliveryList{}, err
	}
	summaries, next, err := s.Deliveries.List(ctx, filter, after, cmp.Or(limit, defaultLimit))
	if err != nil {
		return DeliveryList{}, err
	}
	page := DeliveryList{Data: make([]DeliverySummary, len(summaries)), HasMore: next != deliveries.Cursor{}, NextCursor: s.cursor(filter, next)}
	for i, summary := range summaries {
		page.Data[i] = s.summaryOf(summary)
	}
	return page, nil
}

// errCursor refuses a cursor that is none of ours, or another list's.
var errCursor = postdate.Errorf(postdate.Invalid, "/cursor",
	"not the next_cursor of a page with these filters: start again without a cursor")

// seal says that token is ours, and of the list that filter means.
func (s *server) seal(filter postdate.Filter, token []byte) []byte {
	filters := mustMarshal(filter)
	mac := hmac.New(sha256.New, s.keyHash[:])
	fmt.Fprintf(mac, "cursor\n%s\n%s", filters, token)
	return mac.Sum(nil)[:sealSize]
}

const sealSize = 16

// cursor is a cursor of a list, sealed: empty where nothing follows.
func (s *server) cursor(filter postdate.Filter, next deliveries.Cursor) string {
	if next == (deliveries.Cursor{}) {
		return ""
	}
	token := mustMarshal(next)
	return base64.RawURLEncoding.EncodeToString(append(s.seal(filter, token), token...))
}

// openCursor is the inverse of cursor.
func (s *server) openCursor(filter postdate.Filter, cursor string) (c deliveries.Cursor, err error) {
	if cursor == "" {
		return c, nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(sealed) <= sealSize {
		return c, errCursor
	}
	token := sealed[sealSize:]
	if !hmac.Equal(sealed[:sealSize], s.seal(filter, token)) {
		return c, errCursor
	}
	if err := json.Unmarshal(token, &c); err != nil {
		return deliveries.Cursor{}, errCursor
	}
	return c, nil
}

func mustMarshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // what was decoded can be encoded
	}
	return text
}
