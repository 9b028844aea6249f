package guard

import "net/netip"

// kinds says what the addresses that are refused are for. It decides nothing:
// it only gives the reason. The first prefix that fits counts.
//
// By IANA's registries of special-purpose addresses, and by what the clouds
// say of the addresses where they hand out credentials.
var kinds = []struct {
	what     string
	prefixes []netip.Prefix
}{
	{"the metadata service of a cloud", prefixes(
		"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", // AWS, Google, Azure and most others; ECS; EKS
		"168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", // Azure, Alibaba, Oracle
		"fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128")}, // AWS, EKS, Google
	{"unspecified", prefixes("0.0.0.0/8", "::/128")},
	{"loopback", prefixes("127.0.0.0/8", "::1/128")},
	{"private", prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")},
	{"link-local", prefixes("169.254.0.0/16", "fe80::/10")},
	{"shared address space of a provider (CGNAT)", prefixes("100.64.0.0/10")},
	{"multicast", prefixes("224.0.0.0/4", "ff00::/8")},
	{"broadcast", prefixes("255.255.255.255/32")},
	{"reserved for documentation", prefixes(
		"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")},
	{"an IPv4 address inside IPv6 (IPv4-compatible)", prefixes("::/96")},
	{"an IPv4 address inside IPv6 (IPv4-translated)", prefixes("::ffff:0:0:0/96")},
	{"an IPv4 address inside IPv6 (NAT64)", prefixes("64:ff9b::/96", "64:ff9b:1::/48")},
	{"an IPv4 address inside IPv6 (6to4)", prefixes("2002::/16")},
	{"an IPv4 address inside IPv6 (Teredo)", prefixes("2001::/32")},
}

// kind says what addr is for, to follow "is".
func kind(addr netip.Addr) string {
	zoned := addr.Zone() != ""
	addr = addr.WithZone("")
	for _, k := range kinds {
		for _, prefix := range k.prefixes {
			if prefix.Contains(addr) {
				return k.what
			}
		}
	}
	if zoned {
		return "bound to a network interface of this machine (by its zone)"
	}
	return "reserved"
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
