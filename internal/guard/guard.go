// Package guard decides which addresses may be dialled on behalf of somebody
// whom we don't trust: those of the public internet, and what the operator
// allows besides.
//
// What counts is the address that is dialled, checked on every connection: a
// name can resolve to a public address when it is registered and to one of ours
// when it is used.
package guard

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"code.dny.dev/ssrf"
)

// Guard decides which addresses may be dialled. Its Control is for
// [net.Dialer.Control]. It is safe for concurrent use.
type Guard struct {
	allow  []netip.Prefix
	public *ssrf.Guardian
	// ownPorts are refused at the addresses of this machine, and deny everywhere,
	// whatever is allowed.
	ownPorts []uint16
	own      []netip.Addr
	deny     []netip.AddrPort
}

// Config says what a guard admits and refuses beyond the public internet.
type Config struct {
	// Allow are networks that may be dialled though they are not public.
	Allow []netip.Prefix
	// OwnPorts are those on which this process, and what belongs to it, listens: no
	// address of this machine is dialled there, whatever is allowed.
	OwnPorts []int
	// Deny are addresses that are never dialled: those of the Temporal that this
	// process is connected to.
	Deny []netip.AddrPort
}

// platform is Azure's "wire server": public by its number, but answered by the
// host of the virtual machine that asks, with what is meant for that machine.
var platform = netip.MustParsePrefix("168.63.129.16/32")

// New makes a guard that admits the public internet and, besides, exactly the
// networks that c allows.
func New(c Config) *Guard {
	g := &Guard{public: ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(platform)), own: ownAddresses()}
	for _, prefix := range c.Allow {
		g.allow = append(g.allow, unmap(prefix))
	}
	for _, port := range c.OwnPorts {
		g.ownPorts = append(g.ownPorts, uint16(port)) //nolint:gosec // a TCP port
	}
	for _, target := range c.Deny {
		g.deny = append(g.deny, netip.AddrPortFrom(target.Addr().Unmap().WithZone(""), target.Port()))
	}
	return g
}

// ownAddresses are those of this machine's interfaces, as they are at the start.
func ownAddresses() (own []netip.Addr) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil // loopback is known without them
	}
	for _, addr := range addrs {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			own = append(own, prefix.Addr().Unmap().WithZone(""))
		}
	}
	return own
}

// Control answers nil if a connection to address ("ip:port") may be made, and
// otherwise a [RefusedError].
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return &RefusedError{Host: address, Reason: fmt.Sprintf("would be dialled by %s; only tcp is", network)}
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return &RefusedError{Host: address, Reason: "is not an address with a port"}
	}
	if g.isOurs(target) {
		return &RefusedError{Addr: target.Addr(), Reason: "and this port are Postdate's own"}
	}
	return g.check(target.Addr())
}

// isOurs reports whether a target is a port of this process, or of its Temporal.
func (g *Guard) isOurs(target netip.AddrPort) bool {
	addr := target.Addr().Unmap().WithZone("")
	if slices.Contains(g.deny, netip.AddrPortFrom(addr, target.Port())) {
		return true
	}
	here := addr.IsLoopback() || addr.IsUnspecified() || slices.Contains(g.own, addr)
	return here && slices.Contains(g.ownPorts, target.Port())
}

// check answers nil if addr may be dialled.
func (g *Guard) check(addr netip.Addr) error {
	addr = addr.Unmap() // ::ffff:10.0.0.1 is dialled as 10.0.0.1
	if g.allows(addr.WithZone("")) {
		// RFC 6052 §3.1: this prefix must not stand for private addresses; a
		// gateway that translates them all the same would be our way in.
		if inner, ok := translated(addr); ok {
			return g.check(inner)
		}
		return nil
	}
	if err := g.public.SafeAddr(addr); err != nil {
		return &RefusedError{Addr: addr, Reason: "is " + kind(addr), Allowable: true}
	}
	return nil
}

func (g *Guard) allows(addr netip.Addr) bool {
	for _, prefix := range g.allow {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// translated is the IPv4 address that a NAT64 gateway makes of addr, if addr
// has the prefix that is well known for it.
func translated(addr netip.Addr) (netip.Addr, bool) {
	if !ssrf.IPv6NAT64Prefix.Contains(addr) {
		return netip.Addr{}, false
	}
	bytes := addr.As16()
	return netip.AddrFrom4([4]byte(bytes[12:])), true
}

// unmap turns a prefix of IPv4-mapped addresses into the IPv4 prefix it means.
func unmap(prefix netip.Prefix) netip.Prefix {
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		return netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix
}
