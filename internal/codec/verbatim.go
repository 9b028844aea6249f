package codec

import (
	"bytes"
	"encoding/json"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

// plain is Temporal's default data converter, but that it writes JSON verbatim.
func plain() converter.DataConverter {
	return converter.NewCompositeDataConverter(
		converter.NewNilPayloadConverter(),
		converter.NewByteSlicePayloadConverter(),
		converter.NewProtoJSONPayloadConverter(),
		converter.NewProtoPayloadConverter(),
		verbatim{converter.NewJSONPayloadConverter()},
	)
}

// verbatim writes <, > and & as they are. By default the standard library escapes
// them, inside of raw JSON too: a message's data would be signed and sent with
// other bytes than it came with.
type verbatim struct {
	*converter.JSONPayloadConverter
}

// ToPayload implements [converter.PayloadConverter].
func (c verbatim) ToPayload(value any) (*commonpb.Payload, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("%w: %w", converter.ErrUnableToEncode, err)
	}
	return &commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(c.Encoding())},
		Data:     bytes.TrimSuffix(text.Bytes(), []byte("\n")),
	}, nil
}
