package guard

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// CheckURL answers nil if the host of u may turn out to be one that is
// dialled, and otherwise a [RefusedError]: for a host that never will be,
// whatever names resolve to. It looks no name up.
func (g *Guard) CheckURL(u *url.URL) error {
	if target, err := netip.ParseAddrPort(net.JoinHostPort(Normalize(u.Hostname()), portOf(u))); err == nil && g.isOurs(target) {
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
	name, reason := normalize(host)
	if addr, err := netip.ParseAddr(name); err == nil && reason == "" {
		return g.check(addr)
	}
	name = strings.TrimSuffix(name, ".")
	switch {
	case name == "":
		return &RefusedError{Host: strconv.Quote(host), Reason: "is empty"}
	case reason != "":
		return &RefusedError{Host: strconv.Quote(host), Reason: reason}
	case name == "localhost" || strings.HasSuffix(name, ".localhost"):
		return g.checkLocalhost(host)
	case endsInNumber(name):
		return g.checkNumber(host, name)
	}
	if reason := notAName(name); reason != "" {
		return &RefusedError{Host: strconv.Quote(host), Reason: reason}
	}
	return nil
}

// Normalize is host in the form in which it is dialled and named in a request:
// ASCII and lower case. What cannot be mapped stays as it is; [Guard.CheckHost]
// refuses it.
func Normalize(host string) string {
	if name, reason := normalize(host); reason == "" {
		return name
	}
	return host
}

// normalize maps host as net/http does before it dials ("①②⑦.0.0.1" is 127.0.0.1),
// or says why it cannot.
func normalize(host string) (name, reason string) {
	switch {
	case strings.ContainsFunc(host, isHidden):
		return host, "holds characters that do not show"
	case !strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }):
		return strings.ToLower(host), ""
	}
	name, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return host, "is not a name: " + strings.TrimPrefix(err.Error(), "idna: ")
	}
	return strings.ToLower(name), ""
}

// isHidden finds what the mapping of names leaves out, so that a name looks like
// another. Joiners are for the mapping to judge: some scripts need them.
func isHidden(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	return r != zeroWidthNonJoiner && r != zeroWidthJoiner &&
		unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

const (
	maxNameBytes  = 253
	maxLabelBytes = 63
)

// notAName says why name, in ASCII and lower case and without the full stop at its
// end, never resolves: "" where it may (RFC 1035 §2.3.4, RFC 1123 §2.1; underscores
// are in use).
func notAName(name string) string {
	if len(name) > maxNameBytes {
		return "is longer than a name may be: 253 characters"
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return "has an empty part between its full stops"
		case len(label) > maxLabelBytes:
			return "has a part longer than 63 characters"
		case strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
			return "holds characters that no name has"
		case label[0] == '-' || label[len(label)-1] == '-':
			return "has a part that begins or ends with a hyphen"
		}
	}
	return ""
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
