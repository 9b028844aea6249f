package postdate

import (
	"net/url"
	"strconv"
	"unicode/utf8"
)

// maxURL bounds a url, in characters.
const maxURL = 2048

// validateURL reports the first reason why text is not a url to send to. Whether its host
// can be dialled is not checked here.
func validateURL(pointer, text string, allowHTTP bool) error {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return Errorf(Invalid, pointer, "a url is needed")
	case utf8.RuneCountInString(text) > maxURL:
		return Errorf(Invalid, pointer, "a url has at most %d characters", maxURL)
	case err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return Errorf(Invalid, pointer, "not an absolute https url")
	case u.Scheme == "http" && !allowHTTP:
		return Errorf(Invalid, pointer, "plain http is not allowed here: use https, or have the operator set POSTDATE_ALLOW_HTTP=true")
	case u.User != nil:
		return Errorf(Invalid, pointer, "a url must not carry a user name or password: receivers verify the signature")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return Errorf(Invalid, pointer, "a port is from 1 to 65535")
		}
	}
	return nil
}
