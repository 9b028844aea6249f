package codec

import (
	"errors"
	"fmt"
	"slices"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// What the metadata of an encrypted payload says, in the words that Temporal's
// own samples use. The Web UI shows them to whoever may not see more.
const (
	encoding      = "binary/encrypted"
	metadataKeyID = "encryption-key-id"
)

// encodingBytes stands in each encrypted payload's metadata. Nobody changes it.
var encodingBytes = slices.Clip([]byte(encoding))

var (
	// ErrUnknownKey tells that a payload was encrypted with a key that is not in
	// the ring. It can be read again once the key is back.
	ErrUnknownKey = errors.New("not in the key ring")
	// ErrUnreadable tells that a payload was altered after it was encrypted, or
	// encrypted by something else, or with another key of the same id.
	ErrUnreadable = errors.New("does not open it: it was altered, or made with another key of the same id")
	// ErrUnencrypted tells that a payload did not come from us: whoever reaches Temporal
	// can send Updates and Signals, and only who has a key can encrypt them.
	ErrUnencrypted = errors.New("the payload is not encrypted: it was sent by something that has no key")
)

// isOurs reports whether err is the codec's, rather than the data converter's.
func isOurs(err error) bool { return errors.Is(err, ErrUnknownKey) || errors.Is(err, ErrUnreadable) }

// codec is the payload codec of a ring.
type codec struct{ ring *Ring }

var _ converter.PayloadCodec = codec{}

// New answers the payload codec that encrypts with the first key of ring, each
// payload whole: its metadata, which tells the types of things, and its data.
// What is not encrypted it decodes to itself. Its errors are [ErrUnknownKey] and
// [ErrUnreadable]; it never fails to encode what a data converter made.
func New(ring *Ring) converter.PayloadCodec { return codec{ring} }

// Encode implements [converter.PayloadCodec].
func (c codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	encoded := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		var err error
		if encoded[i], err = encrypt(c.ring.first(), payload); err != nil {
			return nil, fmt.Errorf("encrypt payload: %w", err)
		}
	}
	return encoded, nil
}

// Decode implements [converter.PayloadCodec].
func (c codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	decoded := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		if decoded[i] = payload; string(payload.GetMetadata()[converter.MetadataEncoding]) != encoding {
			continue
		}
		var err error
		if decoded[i], err = c.decrypt(payload); err != nil {
			return nil, fmt.Errorf("decrypt payload: %w", err)
		}
	}
	return decoded, nil
}

// sealedOnly is a codec that refuses what is not encrypted.
type sealedOnly struct{ converter.PayloadCodec }

// Decode implements [converter.PayloadCodec].
func (c sealedOnly) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	for _, payload := range payloads {
		if string(payload.GetMetadata()[converter.MetadataEncoding]) != encoding {
			return nil, ErrUnencrypted
		}
	}
	return c.PayloadCodec.Decode(payloads)
}

// KeyID is the id of the key that a payload was encrypted with: empty where it is not
// encrypted.
func KeyID(payload *commonpb.Payload) string { return string(payload.GetMetadata()[metadataKeyID]) }

func encrypt(k *key, payload *commonpb.Payload) (*commonpb.Payload, error) {
	payload = compressed(payload)
	buf := make([]byte, headerSize, headerSize+proto.Size(payload)+gcmOverhead)
	buf, err := proto.MarshalOptions{}.MarshalAppend(buf, payload)
	if err != nil {
		return nil, err
	}
	sealed, err := k.seal(buf)
	if err != nil {
		return nil, err
	}
	return &commonpb.Payload{
		Metadata: map[string][]byte{
			converter.MetadataEncoding: encodingBytes,
			metadataKeyID:              k.idBytes,
		},
		Data: sealed,
	}, nil
}

func (c codec) decrypt(payload *commonpb.Payload) (*commonpb.Payload, error) {
	id := string(payload.GetMetadata()[metadataKeyID])
	k := c.ring.find(id)
	if k == nil {
		return nil, fmt.Errorf("key %.34q: %w", id, ErrUnknownKey)
	}
	plaintext, err := k.open(payload.GetData())
	if err != nil {
		return nil, fmt.Errorf("key %q: %w (%w)", id, ErrUnreadable, err)
	}
	opened := &commonpb.Payload{}
	if err := proto.Unmarshal(plaintext, opened); err != nil {
		return nil, fmt.Errorf("key %q: %w (%w)", id, ErrUnreadable, errFormat)
	}
	if err := inflate(opened); err != nil {
		return nil, fmt.Errorf("key %q: %w (%w)", id, ErrUnreadable, err)
	}
	return opened, nil
}
