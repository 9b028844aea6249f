package webhook

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/postdate/postdate"
)

// BenchmarkSend counts the receiver's share too: both live in this process.
func BenchmarkSend(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	s := New(Config{AllowNetworks: loop, Secrets: secrets})
	to := postdate.Destination{URL: server.URL + path}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ctx, cancel := context.WithTimeout(ctx, postdate.DefaultTimeout)
			a, err := s.Send(ctx, message, to)
			cancel()
			if err != nil || a.Outcome != postdate.Accepted {
				b.Error(a.Error, err)
				return
			}
		}
	})
}

// BenchmarkSendAlone leaves the wire out: what is ours of a send.
func BenchmarkSendAlone(b *testing.B) {
	s := open()
	b.ReportAllocs()
	for b.Loop() {
		request, err := s.request(b.Context(), fixed, message, postdate.Destination{URL: "https://b.example" + path}, nil)
		if err != nil {
			b.Fatal(err)
		}
		s.startSpan(b.Context(), message, request).End()
	}
}
