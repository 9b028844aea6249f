package codec

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"maps"
	"sync"

	commonpb "go.temporal.io/api/common/v1"
)

const (
	// metadataCompression says, within what is encrypted, that the data are compressed.
	metadataCompression = "postdate-compression"
	deflate             = "deflate"
	// compressFrom is how many bytes are compressed: groups of schedules, whose entries are
	// alike, become a fifth or less, and so do the writes of the engine. Most messages are
	// smaller, and stay as they are.
	compressFrom = 4 << 10
	// maxInflated bounds what is unpacked: Temporal takes far less in one payload.
	maxInflated = 64 << 20
)

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(io.Discard, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is one that there is
	}
	return w
}}

// compressed is a payload with its data compressed, where that saves an eighth at least.
func compressed(payload *commonpb.Payload) *commonpb.Payload {
	data := payload.GetData()
	if len(data) < compressFrom {
		return payload
	}
	var out bytes.Buffer
	out.Grow(len(data) / 4)
	w, _ := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	_, err := w.Write(data)
	if err == nil {
		err = w.Close()
	}
	if err != nil || out.Len() > len(data)-len(data)/8 { // a buffer never fails
		return payload
	}
	metadata := maps.Clone(payload.GetMetadata())
	if metadata == nil {
		metadata = make(map[string][]byte)
	}
	metadata[metadataCompression] = []byte(deflate)
	return &commonpb.Payload{Metadata: metadata, Data: out.Bytes(), ExternalPayloads: payload.GetExternalPayloads()}
}

// inflate unpacks the data of a payload, where they are compressed.
func inflate(payload *commonpb.Payload) error {
	method, is := payload.GetMetadata()[metadataCompression]
	if !is {
		return nil
	}
	if string(method) != deflate {
		return fmt.Errorf("compressed by %.20q, which is not known here", method)
	}
	r := flate.NewReader(bytes.NewReader(payload.GetData()))
	data, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	if err == nil && len(data) > maxInflated {
		err = fmt.Errorf("more than %d MiB", maxInflated>>20)
	}
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	delete(payload.GetMetadata(), metadataCompression)
	payload.Data = data
	return nil
}
