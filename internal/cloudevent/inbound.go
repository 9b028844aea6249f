package cloudevent

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"

	"github.com/postdate/postdate"
)

// Data is m's data as brokers get them, who know no packed bodies: unpacked.
func Data(m postdate.Message) []byte {
	if m.Inbound == nil || !m.Inbound.Packed {
		return m.Data
	}
	reader, err := gzip.NewReader(bytes.NewReader(m.Data))
	if err != nil {
		return m.Data // not reached: it was unpacked when it came
	}
	data, err := io.ReadAll(io.LimitReader(reader, postdate.MaxInboundBody))
	if err != nil {
		return m.Data // not reached, as above
	}
	return data
}

// appendData appends m's data as a member of the structured mode's document: JSON as it is,
// and what is not JSON in base64.
func appendData(to []byte, m postdate.Message) []byte {
	data := Data(m)
	if m.Inbound != nil && (!postdate.IsJSON(ContentType(m)) || !json.Valid(data)) {
		to = append(to, `,"data_base64":"`...)
		to = base64.StdEncoding.AppendEncode(to, data)
		return append(to, '"')
	}
	to = append(to, `,"data":`...)
	return append(to, data...)
}
