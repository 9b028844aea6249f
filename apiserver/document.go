package apiserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/postdate/postdate"
)

// maxDepth bounds how deep arrays and objects are nested: within opaque data counted from
// the data, elsewhere from the body. It is far below the limits of all decoders that the
// data passes through (10,000), and far above what is in use.
const maxDepth = 128

const (
	// maxMembers bounds the members of one object, and maxUnknown those of a whole body that
	// its schema does not have: so that what is refused costs no more than what is taken. No
	// object that a schema describes has half as many.
	maxMembers = 1000
	maxUnknown = 100
	// maxValues bounds the values of a body, except those of opaque members.
	maxValues = 50_000
)

// opaqueExtension marks a schema in the specification whose values are not inspected.
const opaqueExtension = "x-opaque"

// readDocument checks that body is one JSON value, and returns it with null in place of
// each member that schema marks as opaque: the form that is validated against schema.
//
// Outside of opaque members it requires I-JSON (RFC 7493): no name twice in an object, no
// halves of surrogate pairs. So all decoders read the same.
func readDocument(body []byte, schema *openapi3.Schema) (form []byte, err error) {
	r, err := newDocumentReader(body)
	if err != nil {
		return nil, err
	}
	if err := r.end(r.value(schema)); err != nil {
		return nil, err
	}
	return append(r.form, body[r.copied:]...), nil
}

// checkData checks that body, all of which is opaque, is one JSON value.
func checkData(body []byte) error {
	r, err := newDocumentReader(body)
	if err != nil {
		return err
	}
	return r.end(r.skip(""))
}

type documentReader struct {
	decoder *jsontext.Decoder
	body    []byte
	form    []byte
	// copied is how much of body is in form already.
	copied int64
	// values and unknown count what was read.
	values, unknown int
}

func newDocumentReader(body []byte) (*documentReader, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, postdate.Errorf(malformed, "", "the body is empty")
	}
	if !utf8.Valid(body) {
		return nil, postdate.Errorf(malformed, "", "the body is not valid UTF-8")
	}
	return &documentReader{
		// Opaque data may hold names twice, and halves of surrogate pairs.
		decoder: jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)),
		body:    body,
	}, nil
}

// end checks that nothing follows the value. err is the error of reading the value, whose
// position it adds.
func (r *documentReader) end(err error) error {
	if err == nil {
		if _, err = r.decoder.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		}
	}
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case err == nil:
		return postdate.Errorf(malformed, "", "not JSON: %s: another value follows the first", r.position(r.decoder.InputOffset()-1))
	case ok && errors.Is(syntax.Err, io.ErrUnexpectedEOF):
		return postdate.Errorf(malformed, "", "not JSON: %s: unexpected end", r.position(syntax.ByteOffset))
	case ok:
		return postdate.Errorf(malformed, "", "not JSON: %s: %s", r.position(syntax.ByteOffset), syntax.Err)
	}
	return err
}

// value reads a value of that schema: nil is none.
func (r *documentReader) value(schema *openapi3.Schema) error {
	r.values++
	if r.values > maxValues {
		return postdate.Errorf(postdate.Invalid, "", "has more than %d values", maxValues)
	}
	switch r.decoder.PeekKind() {
	case '{':
		return r.object(schema)
	case '[':
		return r.array(schema)
	case '"':
		_, err := r.text()
		return err
	default:
		_, err := r.decoder.ReadToken()
		return err
	}
}

func (r *documentReader) object(schema *openapi3.Schema) error {
	if err := r.enter(); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for r.decoder.PeekKind() != '}' {
		name, err := r.text()
		if err != nil {
			return err
		}
		if seen[name] {
			return postdate.Errorf(postdate.Invalid, string(r.decoder.StackPointer()), "appears twice")
		}
		seen[name] = true
		if err := r.count(schema, name, len(seen)); err != nil {
			return err
		}
		member := memberOf(schema, name)
		if isOpaque(member) {
			err = r.opaque()
		} else {
			err = r.value(member)
		}
		if err != nil {
			return err
		}
	}
	_, err := r.decoder.ReadToken()
	return err
}

func (r *documentReader) array(schema *openapi3.Schema) error {
	if err := r.enter(); err != nil {
		return err
	}
	var items *openapi3.Schema
	if schema != nil && schema.Items != nil {
		items = schema.Items.Value
	}
	for n := uint64(1); r.decoder.PeekKind() != ']'; n++ {
		if schema != nil && schema.MaxItems != nil && n > *schema.MaxItems {
			return postdate.Errorf(postdate.Invalid, r.parent(), "has at most %d items", *schema.MaxItems)
		}
		if err := r.value(items); err != nil {
			return err
		}
	}
	_, err := r.decoder.ReadToken()
	return err
}

// count refuses an object for its members, of which there are n by now.
func (r *documentReader) count(schema *openapi3.Schema, name string, n int) error {
	if n > maxMembers {
		return postdate.Errorf(postdate.Invalid, r.parent(), "has more than %d members", maxMembers)
	}
	if schema != nil && schema.Properties[name] == nil && schema.AdditionalProperties.Has != nil && !*schema.AdditionalProperties.Has {
		r.unknown++
		if r.unknown > maxUnknown {
			return postdate.Errorf(postdate.Invalid, r.parent(), "has members that are not known, and there are more than %d in all", maxUnknown)
		}
	}
	return nil
}

// parent is the object or array that has what was read last.
func (r *documentReader) parent() string {
	pointer := string(r.decoder.StackPointer())
	return pointer[:max(0, strings.LastIndexByte(pointer, '/'))]
}

// enter reads the beginning of an object or of an array.
func (r *documentReader) enter() error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return err
	}
	if r.decoder.StackDepth() > maxDepth {
		pointer := string(r.decoder.StackPointer())
		first, _, _ := strings.Cut(pointer[1:], "/")
		return tooDeep("/" + first) // the whole pointer would be as long as the value is deep
	}
	return nil
}

// text reads a string that is not opaque.
func (r *documentReader) text() (string, error) {
	value, err := r.decoder.ReadValue()
	if err != nil {
		return "", err
	}
	if !value.IsValid() { // by default it is stricter than the decoder
		return "", postdate.Errorf(postdate.Invalid, string(r.decoder.StackPointer()),
			"holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err
}

// opaque skips the value of a member.
func (r *documentReader) opaque() error {
	name := r.decoder.InputOffset()
	err := r.skip(string(r.decoder.StackPointer()))
	r.form = append(append(r.form, r.body[r.copied:name]...), ":null"...)
	r.copied = r.decoder.InputOffset()
	return err
}

// skip reads a value and checks its depth only.
func (r *documentReader) skip(pointer string) error {
	outside := r.decoder.StackDepth()
	for {
		if _, err := r.decoder.ReadToken(); err != nil {
			return err
		}
		switch depth := r.decoder.StackDepth() - outside; {
		case depth > maxDepth:
			return tooDeep(pointer)
		case depth == 0:
			return nil
		}
	}
}

func tooDeep(pointer string) error {
	return postdate.Errorf(postdate.Invalid, pointer, "arrays and objects are nested more than %d levels deep", maxDepth)
}

// position is the line and column of the byte at offset.
func (r *documentReader) position(offset int64) string {
	before := r.body[:min(int(offset), len(r.body))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

// memberOf is the schema of a member of an object: nil without one.
func memberOf(schema *openapi3.Schema, name string) *openapi3.Schema {
	if schema == nil {
		return nil
	}
	if property, ok := schema.Properties[name]; ok {
		return property.Value
	}
	if schema.AdditionalProperties.Schema != nil {
		return schema.AdditionalProperties.Schema.Value
	}
	return nil
}

func isOpaque(schema *openapi3.Schema) bool {
	if schema == nil {
		return false
	}
	opaque, _ := schema.Extensions[opaqueExtension].(bool)
	return opaque
}
