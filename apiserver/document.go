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

// maxDepth bounds how deep arrays and objects may stand in each other: those of
// opaque data counted from the data, all others from the body. It is far below
// what any decoder on the way refuses, and far above what people write.
const maxDepth = 128

// opaqueExtension marks, in the specification, a schema whose values are never
// looked into.
const opaqueExtension = "x-opaque"

// readDocument reads the one JSON value that body holds, and answers it with null
// in place of each member that schema says is opaque: what can be held to schema.
//
// Outside what is opaque, it says nothing twice and holds no halves of characters
// (I-JSON, RFC 7493), so that all who decode it read the same.
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

// checkData holds body, which is opaque as a whole, to being JSON.
func checkData(body []byte) error {
	r, err := newDocumentReader(body)
	if err != nil {
		return err
	}
	return r.end(r.passOver(""))
}

type documentReader struct {
	decoder *jsontext.Decoder
	body    []byte
	form    []byte
	// copied is how much of body is in form already.
	copied int64
}

func newDocumentReader(body []byte) (*documentReader, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, postdate.Errorf(malformed, "", "the body is empty")
	}
	if !utf8.Valid(body) {
		return nil, postdate.Errorf(malformed, "", "the body is not valid UTF-8")
	}
	return &documentReader{
		// What is opaque may hold names twice, and halves of characters.
		decoder: jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)),
		body:    body,
	}, nil
}

// end refuses what follows a value, or says where there is none, if err is why.
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
		return postdate.Errorf(malformed, "", "not JSON: %s: it ends here, and should go on", r.position(syntax.ByteOffset))
	case ok:
		return postdate.Errorf(malformed, "", "not JSON: %s: %s", r.position(syntax.ByteOffset), syntax.Err)
	}
	return err
}

// value reads a value that schema is about, if any is.
func (r *documentReader) value(schema *openapi3.Schema) error {
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
	for r.decoder.PeekKind() != ']' {
		if err := r.value(items); err != nil {
			return err
		}
	}
	_, err := r.decoder.ReadToken()
	return err
}

// enter reads the beginning of an object or of an array.
func (r *documentReader) enter() error {
	if _, err := r.decoder.ReadToken(); err != nil {
		return err
	}
	if r.decoder.StackDepth() > maxDepth {
		pointer := string(r.decoder.StackPointer())
		first, _, _ := strings.Cut(pointer[1:], "/")
		return tooDeep("/" + first) // the rest says no more than how deep it is
	}
	return nil
}

// text reads a string that is not opaque.
func (r *documentReader) text() (string, error) {
	value, err := r.decoder.ReadValue()
	if err != nil {
		return "", err
	}
	if !value.IsValid() { // by its rules, which are stricter than the decoder's
		return "", postdate.Errorf(postdate.Invalid, string(r.decoder.StackPointer()),
			"holds half of a surrogate pair (\\ud800 to \\udfff), which is no character")
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err
}

// opaque passes over the value of a member.
func (r *documentReader) opaque() error {
	name := r.decoder.InputOffset()
	err := r.passOver(string(r.decoder.StackPointer()))
	r.form = append(append(r.form, r.body[r.copied:name]...), ":null"...)
	r.copied = r.decoder.InputOffset()
	return err
}

// passOver reads a value of which only how deep it is matters.
func (r *documentReader) passOver(pointer string) error {
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

// position says in which line and column the byte at offset stands.
func (r *documentReader) position(offset int64) string {
	before := r.body[:min(int(offset), len(r.body))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

// memberOf is the schema of a member of what schema is about, nil where it has none.
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
