package consume

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/streams"
)

// The headers of a dead letter, beside those that the record had.
const (
	headerID       = "postdate-id"
	headerReason   = "postdate-reason"
	headerCode     = "postdate-code"
	headerStream   = "postdate-stream"
	headerPosition = "postdate-position"
	headerRejected = "postdate-rejected-at"
)

// reject publishes a record that cannot be taken to the stream of dead letters, as it came
// and with the reason.
func (c *Consumer) reject(ctx context.Context, record Record, rejection *streams.RejectedError) error {
	letter := streams.Record{
		ID: c.letterID(record), Key: record.Where, ContentType: record.ContentType, Body: record.Body,
		Headers: []streams.Header{
			{Name: headerID, Value: c.letterID(record)},
			{Name: headerReason, Value: oneLine(rejection.Reason)},
			{Name: headerCode, Value: string(rejection.Code)},
			{Name: headerStream, Value: c.stream.Name},
			{Name: headerPosition, Value: record.Where},
			{Name: headerRejected, Value: c.now().UTC().Format(time.RFC3339)},
		},
	}
	letter.MessageID = letter.ID // which brokers that know repetitions remove them by
	for _, header := range record.Headers {
		if !strings.EqualFold(header.Name, "content-type") && !isBrokers(header.Name) {
			letter.Headers = append(letter.Headers, streams.Header{Name: header.Name, Value: oneLine(header.Value)})
		}
	}
	bounded, stop := context.WithTimeout(ctx, postdate.DefaultTimeout)
	defer stop()
	if err := c.deadLetters.Publish(bounded, c.stream.Consume.DeadLetter, letter); err != nil {
		return fmt.Errorf("publish the dead letter of %s to %s: %w", record.Where, c.stream.Consume.DeadLetter, err)
	}
	c.status.fail(record.Where + " was rejected: " + rejection.Reason)
	c.log.InfoContext(ctx, "rejected a record", "stream", c.stream.Name, "position", record.Where, "reason", rejection.Reason,
		"dead_letter", c.stream.Consume.DeadLetter)
	return nil
}

// letterID is the same where the same record is rejected again. It follows from its place, or
// where the broker keeps none of it from the name that its sender gave it: without both it is
// another one each time, for two records may be alike.
func (c *Consumer) letterID(record Record) string {
	if record.MessageID == "" {
		return "rejected/" + c.stream.Name + "/" + record.Partition + "/" + strconv.FormatInt(record.Position, 10)
	}
	sum := sha256.Sum256(append([]byte(record.MessageID+"\n"), record.Body...))
	return "rejected/" + c.stream.Name + "/" + hex.EncodeToString(sum[:16])
}

// isBrokers reports whether a header tells the broker what to do, or what it has done: such
// a header is not repeated.
func isBrokers(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "nats-") || strings.HasPrefix(name, "x-death") || strings.HasPrefix(name, "x-first-death") ||
		strings.HasPrefix(name, "x-last-death")
}

// oneLine is text as a header may hold it.
func oneLine(text string) string {
	text = strings.ToValidUTF8(strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(text), "\uFFFD")
	if len(text) > 2000 {
		text = strings.ToValidUTF8(text[:2000], "")
	}
	return text
}

// tenantOf is whose a record is.
func (c *Consumer) tenantOf(record Record) (string, error) {
	how := c.stream.Consume
	name, where := how.Tenant, ""
	switch {
	case how.TenantHeader != "":
		name, where = record.Header(how.TenantHeader), "the header "+how.TenantHeader
	case how.TenantField != "":
		name, where = textAt(record.Body, how.TenantField), "the field "+how.TenantField
	}
	switch {
	case name == "":
		return "", &streams.RejectedError{Code: postdate.Invalid, Reason: where + " names no tenant"}
	case postdate.ValidateTenant(name) != nil || !c.stream.Allows(name):
		return "", &streams.RejectedError{Code: postdate.Forbidden, Reason: fmt.Sprintf("%s names %.64q, which is no tenant of this stream", where, name)}
	}
	return name, nil
}

var pointerEscapes = strings.NewReplacer("~1", "/", "~0", "~")

// textAt is the string at a JSON pointer, or "".
func textAt(body []byte, pointer string) string {
	for token := range strings.SplitSeq(pointer[1:], "/") {
		var members map[string]json.RawMessage
		if json.Unmarshal(body, &members) != nil {
			return ""
		}
		body = members[pointerEscapes.Replace(token)]
	}
	var text string
	if json.Unmarshal(body, &text) != nil {
		return ""
	}
	return text
}
