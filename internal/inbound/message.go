package inbound

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/postdate/postdate"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Deduplication is what together identifies a message of a source: one of several lists,
// of which the first counts that a request has all of.
func Deduplication(s postdate.Source) [][]postdate.Locator {
	switch {
	case s.Deduplicate != nil && len(s.Deduplicate) == 0:
		return nil
	case s.Deduplicate != nil:
		return [][]postdate.Locator{s.Deduplicate}
	case s.Verify.Preset == "standard_webhooks":
		return [][]postdate.Locator{{header("webhook-id")}, {header("svix-id")}}
	case presets[s.Verify.Preset].deduplicate != nil:
		return [][]postdate.Locator{presets[s.Verify.Preset].deduplicate}
	default:
		return nil
	}
}

// ID is the id of the message that a request to a source is: the same of its copies. It is
// empty of one that nothing identifies, which is a message of its own.
func ID(s postdate.Source, r *Request) string {
	for _, locators := range Deduplication(s) {
		sum := sha256.New()
		part := func(text string) { sum.Write([]byte(itoa(len(text)) + ":" + text)) }
		part(s.ID)
		complete := true
		for _, locator := range locators {
			value, ok := r.value(locator)
			complete = complete && ok
			part(value)
		}
		if complete {
			return "in_" + hex.EncodeToString(sum.Sum(nil)[:16])
		}
	}
	return ""
}

// RuleOfType is where the type of a source's messages comes from.
func RuleOfType(s postdate.Source) postdate.TypeRule {
	if s.Type != nil {
		return *s.Type
	}
	if rule := presets[s.Verify.Preset].typeRule; rule != (postdate.TypeRule{}) {
		return rule
	}
	return postdate.TypeRule{Value: "webhook.received"}
}

// TypeOf is the type of the message that a request to a source is.
func TypeOf(s postdate.Source, r *Request) string {
	rule := RuleOfType(s)
	return rule.Of(r.found(rule.Locator))
}

// EntityOf is the entity of the message that a request to a source is: empty where it has
// none.
func EntityOf(s postdate.Source, r *Request) string {
	if s.Entity == nil {
		return ""
	}
	return s.Entity.Of(r.found(s.Entity.Locator))
}

// found is what a rule finds: empty where it looks for nothing, or nothing is there.
func (r *Request) found(l postdate.Locator) string {
	if l == (postdate.Locator{}) {
		return ""
	}
	value, _ := r.value(l)
	return value
}

// Unsigned lists what a source goes by that its signatures do not cover: whoever has seen
// one request can send it again with another value there.
func Unsigned(s postdate.Source) []string {
	schemes, err := schemesOf(s.Verify)
	if err != nil {
		return nil
	}
	if !schemes[0].IsHMAC() && schemes[0].Algorithm != postdate.Ed25519Signature {
		return nil // nothing is signed, which is plain to see
	}
	var unsigned []string
	name := func(what string, at postdate.Locator) {
		switch {
		case at.Header != "" && !slices.ContainsFunc(schemes, func(s postdate.SignatureScheme) bool { return covers(s, at.Header) }):
			unsigned = append(unsigned, what+": the header "+at.Header+" is not covered by the signature")
		case at.Query != "" && !strings.Contains(schemes[0].Signed, "{url}"):
			unsigned = append(unsigned, what+": the query is not covered by the signature")
		}
	}
	for _, locators := range Deduplication(s) {
		for _, locator := range locators {
			name("deduplicate", locator)
		}
	}
	name("type", RuleOfType(s).Locator)
	if s.Entity != nil {
		name("entity", s.Entity.Locator)
	}
	return unsigned
}

// covers reports whether a header is part of what is signed.
func covers(s postdate.SignatureScheme, name string) bool {
	return strings.EqualFold(s.IDHeader, name) && strings.Contains(s.Signed, "{id}") ||
		s.Timestamp != nil && strings.EqualFold(s.Timestamp.Header, name) && strings.Contains(s.Signed, "{timestamp}")
}

// Of is what a message has of the request to a source that it is.
func Of(s postdate.Source, r *Request) (*postdate.Inbound, error) {
	headers, err := forwarded(s, r.Header)
	if err != nil {
		return nil, err
	}
	return &postdate.Inbound{
		Source: s.ID, Method: r.Method, Path: r.Path, Query: r.RawQuery,
		ContentType: contentType(r.Header), Packed: r.Packed, Headers: headers,
	}, nil
}

func contentType(header http.Header) string {
	if value := header.Get("Content-Type"); isSendable(value) {
		return value
	}
	return ""
}
