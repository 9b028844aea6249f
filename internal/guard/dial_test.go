package guard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

var errStop = errors.New("admitted, and stopped by the test before it left the machine")

// A name may resolve to addresses of both kinds, so that one who only looks at
// the first lets the others through. Each is judged when it is dialled.
func TestControl_OfANameOfBothKindsOnlyThePublicAddressIsDialled(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	answers := []string{"10.0.0.1", "127.0.0.1", "93.184.216.34", "192.168.0.1", "fd00:ec2::254", "::1"}
	dns := newDNS(t, func(int) []string { return answers })

	var admitted, refused sync.Map
	g := New(Config{})
	dialer := &net.Dialer{Resolver: dns.resolver(), Control: func(network, address string, c syscall.RawConn) error {
		host := netip.MustParseAddrPort(address).Addr().String()
		if err := g.Control(network, address, c); err != nil {
			refused.Store(host, true)
			return err
		}
		admitted.Store(host, true)
		return errStop
	}}
	_, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort("both.example", trap.port()))
	require.Error(t, err)

	require.Equal(t, []string{"93.184.216.34"}, keys(&admitted))
	require.Subset(t, keys(&refused), []string{"10.0.0.1", "127.0.0.1", "192.168.0.1"})
	trap.requireUntouched(t)
}

// The resolver answers with a public address when it is asked whether the name
// may be registered, and with one of ours when we dial: DNS rebinding.
func TestControl_HoldsAgainstAResolverThatChangesItsAnswer(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	var dialling atomic.Bool
	dns := newDNS(t, func(int) []string {
		if dialling.Load() {
			return []string{"127.0.0.1"}
		}
		return []string{"93.184.216.34"}
	})
	g := New(Config{})
	dialer := &net.Dialer{Resolver: dns.resolver(), Control: g.Control}

	require.NoError(t, g.CheckHost("rebinding.example"))
	found, err := dns.resolver().LookupNetIP(t.Context(), "ip4", "rebinding.example")
	require.NoError(t, err)
	require.NoError(t, g.check(found[0]), "at this moment the name looks harmless")

	dialling.Store(true)
	_, err = dialer.DialContext(t.Context(), "tcp", net.JoinHostPort("rebinding.example", trap.port()))
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, "address 127.0.0.1 is loopback")
	trap.requireUntouched(t)
}

// Each lookup is answered otherwise than the one before, so that there is no
// lookup after which a check by name would have been right.
func TestControl_HoldsAgainstAResolverThatNeverAnswersTheSame(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	dns := newDNS(t, func(n int) []string {
		return []string{[]string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0"}[n%4]}
	})
	dialer := &net.Dialer{Resolver: dns.resolver(), Control: New(Config{}).Control}
	for range 16 {
		_, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort("spinning.example", trap.port()))
		require.ErrorIs(t, err, ErrRefused)
	}
	trap.requireUntouched(t)
}

func TestControl_SeesAddressesAsTheyAreDialled(t *testing.T) {
	t.Parallel()
	trap := newTrap(t)
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "127.0.0.2"} {
		dialer := &net.Dialer{Control: New(Config{}).Control}
		_, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(host, trap.port()))
		require.ErrorIs(t, err, ErrRefused, host)
	}
	trap.requireUntouched(t)

	dialer := &net.Dialer{Control: New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}).Control}
	conn, err := dialer.DialContext(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", trap.port()))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// trap listens on loopback for a connection that must not come.
type trap struct{ net.Listener }

func newTrap(t *testing.T) trap {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	return trap{listener}
}

func (l trap) port() string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// requireUntouched dials the trap: connections are accepted in their order, so
// one made before would come first.
func (l trap) requireUntouched(t *testing.T) {
	t.Helper()
	own, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer own.Close()
	first, err := l.Accept()
	require.NoError(t, err)
	defer first.Close()
	require.Equal(t, own.LocalAddr().String(), first.RemoteAddr().String())
}

// dns is a name server on loopback. answers gives the addresses that the n-th
// lookup of IPv4 addresses finds (and IPv6 lookups beside it), for any name.
type dns struct {
	conn    net.PacketConn
	answers func(n int) []string
}

func newDNS(t *testing.T, answers func(n int) []string) *dns {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &dns{conn, answers}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.serve()
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return d
}

func (d *dns) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", d.conn.LocalAddr().String())
	}}
}

func (d *dns) serve() {
	packet := make([]byte, 1500)
	for n := 0; ; {
		size, from, err := d.conn.ReadFrom(packet)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if err := query.Unpack(packet[:size]); err != nil || len(query.Questions) != 1 {
			continue
		}
		answer, err := d.answer(query, n)
		if err != nil {
			continue
		}
		if query.Questions[0].Type == dnsmessage.TypeA {
			n++
		}
		_, _ = d.conn.WriteTo(answer, from)
	}
}

func (d *dns) answer(query dnsmessage.Message, n int) ([]byte, error) {
	question := query.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	for _, text := range d.answers(n) {
		var body dnsmessage.ResourceBody
		switch addr := netip.MustParseAddr(text); {
		case addr.Is4() && question.Type == dnsmessage.TypeA:
			body = &dnsmessage.AResource{A: addr.As4()}
		case addr.Is6() && question.Type == dnsmessage.TypeAAAA:
			body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
		default:
			continue
		}
		header := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET}
		reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	return reply.Pack()
}

func keys(m *sync.Map) []string {
	var list []string
	m.Range(func(key, _ any) bool {
		list = append(list, key.(string))
		return true
	})
	return list
}
