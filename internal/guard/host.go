package guard

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// CheckURL answers nil if the host of u may turn out to be one that is
// dialled, and otherwise a [RefusedError]: for a host that never will be,
// whatever names resolve to. It looks no name up.
func (g *Guard) CheckURL(u *url.URL) error {
	if target, err := netip.ParseAddrPort(net.JoinHostPort(u.Hostname(), portOf(u))); err == nil && g.isOurs(target) {
		return &RefusedError{Host: u.Host, Reason: "is Postdate's own"}
	}
	return g.CheckHost(u.Hostname())
}

// portOf is the port that u is dialled at.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	default:
		return "443"
	}
}

// CheckHost is [Guard.CheckURL] for a host without its port. An IPv6 address
// stands without brackets.
func (g *Guard) CheckHost(host string) error {
	// net/http maps names the same way before it dials: "①②⑦.0.0.1" is 127.0.0.1.
	name, err := idna.Lookup.ToASCII(host)
	if err != nil {
		name = host // net/http goes on with what it cannot map
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return g.check(addr)
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	switch {
	case name == "":
		return &RefusedError{Host: strconv.Quote(host), Reason: "is empty"}
	case name == "localhost" || strings.HasSuffix(name, ".localhost"):
		return g.checkLocalhost(host)
	case endsInNumber(name):
		return g.checkNumber(host, name)
	}
	return nil
}

// checkLocalhost: RFC 6761 §6.3 gives these names to loopback for good.
func (g *Guard) checkLocalhost(host string) error {
	if g.check(netip.AddrFrom4([4]byte{127, 0, 0, 1})) == nil || g.check(netip.IPv6Loopback()) == nil {
		return nil
	}
	return &RefusedError{Host: host, Reason: "is loopback", Allowable: true}
}

// checkNumber judges what would be an address to some resolvers and a name
// that cannot exist to others. It is refused in either case.
func (g *Guard) checkNumber(host, name string) error {
	addr, ok := parseLegacy(name)
	if !ok {
		return &RefusedError{Host: host, Reason: "is neither a name nor an address"}
	}
	reason := "is another way to write " + addr.String()
	if g.check(addr) != nil {
		return &RefusedError{Host: host, Addr: addr, Reason: reason + ", which is " + kind(addr)}
	}
	return &RefusedError{Host: host, Addr: addr, Reason: reason + ": write it like that"}
}

// endsInNumber reports whether the last label of name is a number, as that of no
// domain is (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" {
		return false
	}
	if strings.Trim(last, "0123456789") == "" {
		return true
	}
	_, ok := parseNumber(last)
	return ok
}

// parseLegacy reads the forms of an IPv4 address that inet_aton(3) takes: one
// to four numbers, decimal, octal or hexadecimal, the last of which fills all
// the bytes that are left.
func parseLegacy(name string) (netip.Addr, bool) {
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		n, ok := parseNumber(part)
		bits := 8
		if last := len(parts) - 1; i == last {
			bits = 8 * (4 - last)
		}
		if !ok || n >= 1<<bits {
			return netip.Addr{}, false
		}
		sum = sum<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}

// parseNumber reads a number as C writes it: 10, 012, 0xa. "0x" is 0.
func parseNumber(text string) (uint64, bool) {
	base := 10
	switch {
	case strings.HasPrefix(text, "0x"):
		text, base = text[2:], 16
		if text == "" {
			return 0, true
		}
	case len(text) > 1 && text[0] == '0':
		text, base = text[1:], 8
	}
	n, err := strconv.ParseUint(text, base, 33)
	return n, err == nil
}
