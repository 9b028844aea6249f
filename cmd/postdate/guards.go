package main

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/guard"
)

// guards say which addresses may be dialled for whom.
type guards struct {
	everybody *guard.Guard
	tenants   map[string]*guard.Guard
}

// guards never admit the ports of this process, nor of the Temporal that it is
// connected to: who reaches those acts as the operator.
func (p process) guards(ctx context.Context) guards {
	c := guard.Config{Allow: p.AllowNetworks, OwnPorts: p.ownPorts, Deny: addressesOf(ctx, p.temporal.HostPort)}
	for _, addr := range []string{p.HTTPAddr, p.MetricsAddr, p.temporal.HostPort} {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			if n, err := strconv.Atoi(port); err == nil {
				c.OwnPorts = append(c.OwnPorts, n)
			}
		}
	}
	if u, err := url.Parse(p.UIURL); err == nil && u.Port() != "" {
		if n, err := strconv.Atoi(u.Port()); err == nil && isLoopbackName(hostname(u.Host)) {
			c.OwnPorts = append(c.OwnPorts, n)
		}
	}
	withLoopback := c
	withLoopback.Allow = append(withLoopback.Allow[:len(c.Allow):len(c.Allow)],
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	switch p.loopback {
	case everyTenant:
		return guards{everybody: guard.New(withLoopback)}
	case defaultTenantOnly:
		own := guard.New(withLoopback)
		return guards{everybody: guard.New(c), tenants: map[string]*guard.Guard{postdate.DefaultTenant: own, postdate.OperatorTenant: own}}
	default:
		return guards{everybody: guard.New(c)}
	}
}

// checkURL refuses a url that would never be dialled for a tenant.
func (g guards) checkURL(tenant string, u *url.URL) error {
	if own := g.tenants[tenant]; own != nil {
		return own.CheckURL(u)
	}
	return g.everybody.CheckURL(u)
}

// addressesOf are those that a host and port resolve to now.
func addressesOf(ctx context.Context, hostport string) (targets []netip.AddrPort) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil // it could not be connected to either
	}
	for _, addr := range addrs {
		targets = append(targets, netip.AddrPortFrom(addr, uint16(n)))
	}
	return targets
}
