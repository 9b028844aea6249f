package inbound

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/postdate/postdate"
)

// Request is a request as it came.
type Request struct {
	Method string
	Header http.Header
	// Path is what followed the source's own path, escaped, and RawQuery the query as it came.
	Path, RawQuery string
	// URLs are the forms of its URL of which its sender may have signed one.
	URLs []string
	// Body is what came, byte for byte, and Content what it holds, if it is packed.
	Body, Content []byte
	Packed        bool
}

// value is what is found in r at a place. Values that stand there several times are one
// together.
func (r *Request) value(at postdate.Locator) (string, bool) {
	switch {
	case at.Header != "":
		values := r.Header.Values(at.Header)
		return strings.Join(values, "\n"), len(values) > 0 && values[0] != ""
	case at.Query != "":
		query, ok := r.query()
		values := query[at.Query]
		return strings.Join(values, "\n"), ok && len(values) > 0 && values[0] != ""
	case at.Pointer != "":
		return find(r.Content, at.Pointer)
	default:
		return string(r.Content), len(r.Content) > 0
	}
}

// query is the query, where it can be read.
func (r *Request) query() (url.Values, bool) {
	values, err := url.ParseQuery(r.RawQuery)
	return values, err == nil
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// find is the string, number or boolean at a JSON pointer in a document. Of members that
// stand there twice it is the first. Some senders write a byte order mark before it.
func find(document []byte, pointer string) (string, bool) {
	document = bytes.TrimPrefix(document, byteOrderMark)
	decoder := jsontext.NewDecoder(bytes.NewReader(document), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for name := range strings.SplitSeq(pointer[1:], "/") {
		if !enter(decoder, strings.NewReplacer("~1", "/", "~0", "~").Replace(name)) {
			return "", false
		}
	}
	token, err := decoder.ReadToken()
	if err != nil {
		return "", false
	}
	switch token.Kind() {
	case '"', '0', 't', 'f':
		text := token.String()
		return text, text != ""
	default:
		return "", false
	}
}

// enter reads up to the member of an object, or the item of an array.
func enter(decoder *jsontext.Decoder, name string) bool {
	token, err := decoder.ReadToken()
	if err != nil {
		return false
	}
	switch token.Kind() {
	case '{':
		for decoder.PeekKind() == '"' {
			if token, err = decoder.ReadToken(); err == nil && token.String() == name {
				return true
			}
			if err != nil || decoder.SkipValue() != nil {
				return false
			}
		}
	case '[':
		index, err := strconv.ParseUint(name, 10, 31)
		if err != nil {
			return false
		}
		for ; index > 0; index-- {
			if decoder.PeekKind() == ']' || decoder.SkipValue() != nil {
				return false
			}
		}
		return decoder.PeekKind() != ']'
	default:
	}
	return false
}

// form is the form in the body, where that is declared as one.
func (r *Request) form() (url.Values, bool) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded") {
		return nil, false
	}
	values, err := url.ParseQuery(string(r.Content))
	return values, err == nil
}
