package webhook

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

func TestSend_WhatWeWantForOurselvesIsNoAttempt(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	for errno, want := range map[syscall.Errno]string{
		syscall.EMFILE:        "no file descriptor is free",
		syscall.ENFILE:        "no file descriptor is free",
		syscall.ENOBUFS:       "no memory for another connection",
		syscall.ENOMEM:        "no memory for another connection",
		syscall.EADDRNOTAVAIL: "no local port is free",
	} {
		s := open()
		s.dialer.ControlContext, s.dialer.Control = nil, func(string, string, syscall.RawConn) error { return errno }
		attempt, err := s.Send(t.Context(), message, target(server.URL+path))
		require.ErrorContains(t, err, want)
		require.Zero(t, attempt)
		require.NotContains(t, err.Error(), "p4th")
	}
}

func TestSend_AHostWithoutIPv6IsNotOutOfPorts(t *testing.T) {
	t.Parallel()
	s := open()
	s.dialer.ControlContext, s.dialer.Control = nil, func(string, string, syscall.RawConn) error { return syscall.EADDRNOTAVAIL }
	requireFailed(t, send(t, s, target("http://[2001:db8::1]"+path)), "[2001:db8::1]:80")
}

func TestSend_AResolverThatAnswersNothingIsOurFault(t *testing.T) {
	t.Parallel()
	s := open()
	s.dialer.Resolver = nameServerOf(t, func(string) dnsmessage.RCode { return dnsmessage.RCodeServerFailure })
	attempt, err := s.Send(t.Context(), message, target("http://crm.example.com"+path))
	require.ErrorContains(t, err, "the resolver does not answer")
	require.Zero(t, attempt)
}

// While thousands of lookups fail the resolver is not asked thousands of times more.
func TestSend_ProbesTheResolverOnceASecondAtMost(t *testing.T) {
	t.Parallel()
	s := open()
	var probes atomic.Int64
	s.dialer.Resolver = nameServerOf(t, func(name string) dnsmessage.RCode {
		if name == "." {
			probes.Add(1)
		}
		return dnsmessage.RCodeServerFailure
	})
	const sends = 50
	results := make(chan error, sends)
	for range sends {
		go func() {
			_, err := s.Send(t.Context(), message, target("http://crm.example.com"+path))
			results <- err
		}()
	}
	for range sends {
		require.ErrorContains(t, <-results, "the resolver does not answer")
	}
	require.Less(t, probes.Load(), int64(sends), "each probe is repeated by the resolver a few times")
}

func TestSend_ANameWhoseServersFailIsTheReceiversFaultThoughOthersResolve(t *testing.T) {
	t.Parallel()
	s := open()
	s.dialer.Resolver = nameServerOf(t, func(name string) dnsmessage.RCode {
		if strings.HasPrefix(name, "crm.") {
			return dnsmessage.RCodeServerFailure
		}
		return dnsmessage.RCodeNameError
	})
	requireFailed(t, send(t, s, target("http://crm.example.com"+path)), "its name server fails")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Send(ctx, message, target("http://crm.example.com"+path))
	require.ErrorIs(t, err, context.Canceled)
}
