package inbound

import (
	"net"
)

// URLs are the forms in which a sender may have signed the URL of a request: by either
// scheme, for a proxy before us may end TLS, and with or without a port, for some leave out
// the one that they call, and others add the one that goes without saying.
func URLs(host, uri string) []string {
	urls := []string{"https://" + host + uri, "http://" + host + uri}
	if name, _, err := net.SplitHostPort(host); err == nil {
		return append(urls, "https://"+name+uri, "http://"+name+uri)
	}
	return append(urls, "https://"+host+":443"+uri, "http://"+host+":80"+uri)
}
