package webhook

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// ourFault says why no attempt could be made, where that is for want of something of our
// own: empty where it is the receiver's fault. begun is when the attempt began.
func (s *Sender) ourFault(ctx context.Context, err error, begun time.Time) string {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "no file descriptor is free: raise the limit of open files, or lower POSTDATE_WORKER_SLOTS"
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return "there is no memory for another connection"
	case errors.Is(err, syscall.EADDRNOTAVAIL) && dialledIPv4(err): // of IPv6 it says that this host has none
		return "no local port is free"
	}
	if failure, ok := errors.AsType[*net.DNSError](err); ok && !failure.IsNotFound && !s.resolving.answers(ctx, begun) {
		return "the resolver does not answer"
	}
	return ""
}

func dialledIPv4(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return false
	}
	addr, ok := dial.Addr.(*net.TCPAddr)
	return ok && addr.IP.To4() != nil
}

const (
	// probeTimeout bounds a probe of the resolver, and probeInterval how often it is probed.
	probeTimeout  = 2 * time.Second
	probeInterval = time.Second
)

// resolving knows whether the resolver answers. A name that it fails to look up is the
// receiver's fault where it answers otherwise, and ours where it answers nothing.
type resolving struct {
	dialer *net.Dialer

	mu         sync.Mutex
	answeredAt time.Time // when a lookup got an answer last, though it be that there is no such name
	probedAt   time.Time // when a probe began last
}

// note takes the result of a lookup.
func (r *resolving) note(err error) {
	failure, ok := errors.AsType[*net.DNSError](err)
	if err != nil && (!ok || !failure.IsNotFound) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answeredAt = time.Now()
}

// answers reports whether the resolver has answered any lookup since then, or answers a
// probe: the question for the root's name servers, which every resolver can answer.
func (r *resolving) answers(ctx context.Context, since time.Time) bool {
	r.mu.Lock()
	answered, probed := r.answeredAt, r.probedAt
	if !answered.After(since) && time.Since(probed) > probeInterval {
		r.probedAt = time.Now()
	}
	r.mu.Unlock()
	if answered.After(since) {
		return true
	}
	if time.Since(probed) <= probeInterval {
		return answered.After(probed) // as that probe, or a lookup since, found
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	resolver := r.dialer.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	_, err := resolver.LookupNS(ctx, ".")
	r.note(err)
	failure, ok := errors.AsType[*net.DNSError](err)
	return err == nil || ok && failure.IsNotFound
}
