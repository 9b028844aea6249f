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
	s := New(Config{Guard: loop})
	to := target(server.URL + path)
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
	for _, mode := range []postdate.Mode{postdate.Standard, postdate.CloudEventsStructured, postdate.CloudEventsBinary} {
		b.Run(string(mode), func(b *testing.B) {
			to := target("https://b.example" + path)
			to.Mode = mode
			b.ReportAllocs()
			for b.Loop() {
				signers, err := signersOf(to)
				if err != nil {
					b.Fatal(err)
				}
				request, err := s.request(b.Context(), fixed, message, to, signers)
				if err != nil {
					b.Fatal(err)
				}
				s.startSpan(b.Context(), message, request).End()
			}
		})
	}
}
