package guard

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func check(t *testing.T, g *Guard, rawURL string) error {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return g.CheckURL(u)
}

func TestCheckURL_RefusesWhatIsNeverDialled(t *testing.T) {
	t.Parallel()
	g := New(Config{})
	for rawURL, reason := range map[string]string{
		"http://127.0.0.1/":                               "address 127.0.0.1 is loopback",
		"http://10.0.0.1:8080/x":                          "address 10.0.0.1 is private",
		"http://169.254.169.254/latest":                   "address 169.254.169.254 is the metadata service",
		"http://0.0.0.0/":                                 "address 0.0.0.0 is unspecified",
		"http://[::1]/":                                   "address ::1 is loopback",
		"http://[::]/":                                    "address :: is unspecified",
		"http://[::ffff:127.0.0.1]/":                      "address 127.0.0.1 is loopback",
		"http://[::ffff:7f00:1]/":                         "address 127.0.0.1 is loopback",
		"http://[::7f00:1]/":                              "IPv4-compatible",
		"http://[64:ff9b::7f00:1]/":                       "NAT64",
		"http://[fe80::1%25eth0]/":                        "address fe80::1%eth0 is link-local",
		"http://[2606:4700::1111%25eth0]/":                "network interface",
		"http://localhost/":                               "host localhost is loopback",
		"http://LOCALHOST:80/":                            "host LOCALHOST is loopback",
		"http://localhost./":                              "is loopback",
		"http://a.b.localhost/":                           "is loopback",
		"http://ｌｏｃａｌｈｏｓｔ/":                               "is loopback",
		"http://①②⑦.0.0.1/":                               "address 127.0.0.1 is loopback",
		"http://127。0。0。1/":                               "address 127.0.0.1 is loopback",
		"http://2130706433/":                              "host 2130706433 is another way to write 127.0.0.1, which is loopback",
		"http://0x7f000001/":                              "another way to write 127.0.0.1, which is loopback",
		"http://0X7F.1/":                                  "another way to write 127.0.0.1, which is loopback",
		"http://017700000001/":                            "another way to write 127.0.0.1, which is loopback",
		"http://0177.0.0.01/":                             "another way to write 127.0.0.1, which is loopback",
		"http://127.1/":                                   "another way to write 127.0.0.1, which is loopback",
		"http://127.0.1/":                                 "another way to write 127.0.0.1, which is loopback",
		"http://0/":                                       "another way to write 0.0.0.0, which is unspecified",
		"http://0x/":                                      "another way to write 0.0.0.0, which is unspecified",
		"http://127.0.0.1./":                              "another way to write 127.0.0.1, which is loopback",
		"http://10.0.258/":                                "another way to write 10.0.1.2, which is private",
		"http://0xa9fea9fe/":                              "another way to write 169.254.169.254, which is the metadata service",
		"http://134744072/":                               "another way to write 8.8.8.8: write it like that",
		"http://8.8.8.8./":                                "another way to write 8.8.8.8: write it like that",
		"http://1.2.3.4.5/":                               "neither a name nor an address",
		"http://256.0.0.1/":                               "neither a name nor an address",
		"http://4294967296/":                              "neither a name nor an address",
		"http://99999999999999999999999/":                 "neither a name nor an address",
		"http://127.0.0.08/":                              "neither a name nor an address",
		"http://example.1/":                               "neither a name nor an address",
		"http://example.0x1/":                             "neither a name nor an address",
		"http:///path":                                    "is empty",
		"http://./":                                       "is empty",
		"http://user:secret@127.0.0.1/?k=tok":             "address 127.0.0.1 is loopback",
		"http://a..b/":                                    "empty part",
		"http://.a/":                                      "empty part",
		"http://a.b../":                                   "empty part",
		"http://*.b/":                                     "characters that no name has",
		"http://a,b/":                                     "characters that no name has",
		"http://a!b$c.example/":                           "characters that no name has",
		"http://-a.example/":                              "begins or ends with a hyphen",
		"http://a-.example/":                              "begins or ends with a hyphen",
		"http://é-.example/":                              "is not a name",
		"http://*.é.example/":                             "is not a name",
		"http://a\u200bb.example/":                        "do not show",
		"http://a\u00adb.example/":                        "do not show",
		"http://a\ufeffb.example/":                        "do not show",
		"http://a\u2060b.example/":                        "do not show",
		"http://a\ufe0fb.example/":                        "do not show",
		"http://a\u202eb.example/":                        "do not show",
		"http://a\u200db.example/":                        "is not a name",
		"http://" + strings.Repeat("a", 64) + ".example/": "longer than 63",
		"http://" + strings.Repeat("é", 60) + ".example/": "longer than 63",
		"http://" + strings.Repeat("a.", 127) + "a/":      "longer than a name may be",
	} {
		t.Run(rawURL, func(t *testing.T) {
			t.Parallel()
			err := check(t, g, rawURL)
			require.ErrorIs(t, err, ErrRefused)
			require.ErrorContains(t, err, reason)
			require.NotContains(t, err.Error(), "secret")
			require.NotContains(t, err.Error(), "tok")
		})
	}
}

func TestCheckURL_LetsNamesAndPublicAddressesPass(t *testing.T) {
	t.Parallel()
	g := New(Config{})
	for _, rawURL := range []string{
		"https://example.com/hooks", "https://example.com.:8443/", "https://8.8.8.8/", "https://[2606:4700::1111]:8443/",
		"https://[::ffff:8.8.8.8]/", "https://bücher.example/", "https://1.example.com/", "https://0x7f.example/",
		"https://notlocalhost/", "https://localhost.example.com/", "https://my_host.internal/", "https://xn--bcher-kva.example/",
		"https://deadbeef/", "https://نامه‌ای.example/", "https://a--b.example/", "https://a-b.c_d.example/",
		"https://" + strings.Repeat("a", 63) + ".example/", "https://" + strings.Repeat("a.", 126) + "a/", "https://日本。jp/",
	} {
		require.NoError(t, check(t, g, rawURL), rawURL)
	}
}

func TestCheckURL_FollowsWhatTheOperatorAllows(t *testing.T) {
	t.Parallel()
	for _, allow := range []string{"127.0.0.0/8", "::1/128"} {
		g := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix(allow)}})
		require.NoError(t, check(t, g, "http://localhost:9000/"), allow)
	}
	g := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	require.NoError(t, check(t, g, "http://127.0.0.1:9000/"))
	require.ErrorIs(t, check(t, g, "http://[::1]:9000/"), ErrRefused)
	require.ErrorContains(t, check(t, g, "http://127.1/"), "write it like that",
		"Go's resolver takes it for a name, so it would not be reached")
}

func FuzzCheckHost(f *testing.F) {
	for _, host := range []string{"127.1", "0x7f.1", "::1", "a.b", ".", "①②⑦.0.0.1", "1.2.3.4.", "fe80::1%x", "0x"} {
		f.Add(host)
	}
	g := New(Config{})
	f.Fuzz(func(t *testing.T, host string) {
		err := g.CheckHost(host)
		if addr, parseErr := netip.ParseAddr(host); parseErr == nil && (err == nil) != (g.check(addr) == nil) {
			t.Fatalf("%q: judged as a host %v, as an address %v", host, err, g.check(addr))
		}
	})
}

func TestNormalize_IsTheNameThatIsDialled(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"BÜCHER.Example": "xn--bcher-kva.example", "Example.COM.": "example.com.", "faß.example": "xn--fa-hia.example",
		"①②⑦.0.0.1": "127.0.0.1", "::1": "::1", "fe80::1%eth0": "fe80::1%eth0", "日本。jp": "xn--wgv71a.jp", "": "",
	} {
		require.Equal(t, want, Normalize(host))
		require.Equal(t, want, Normalize(want), "once is enough")
	}
}
