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
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
)

// Guard decides which addresses may be dialled. Its Control is for
// [net.Dialer.Control]. It is safe for concurrent use.
type Guard struct {
	allow  []netip.Prefix
	public *ssrf.Guardian
}

// platform is Azure's "wire server": public by its number, but answered by the
// host of the virtual machine that asks, with what is meant for that machine.
var platform = netip.MustParsePrefix("168.63.129.16/32")

// New makes a guard that admits the public internet and, besides, exactly the
// networks of allow.
func New(allow []netip.Prefix) *Guard {
	g := &Guard{public: ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(platform))}
	for _, prefix := range allow {
		g.allow = append(g.allow, unmap(prefix))
	}
	return g
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
	return g.check(target.Addr())
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
