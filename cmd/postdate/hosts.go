package main

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// checkHost refuses requests whose header Host does not name the listener at addr: a
// page that resolves its own name to this machine (DNS rebinding) sends its own name
// there. A listener on loopback answers to loopback's names; any other one to all, since
// what leads to it is the operator's to say. Where allowed is given, those names hold
// beside loopback's.
func checkHost(next http.Handler, addr string, allowed []string) http.Handler {
	if !onLoopback(addr) && len(allowed) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostname(r.Host)
		if !isLoopbackName(host) && !slices.Contains(allowed, host) {
			http.Error(w, "this host name is not served here: the operator names those that are in POSTDATE_ALLOWED_HOSTS",
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostname is a host without its port, in lower case.
func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func isLoopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// onLoopback reports whether only this machine reaches a listener at addr.
func onLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && isLoopbackName(host)
}
