package inbound

import (
	"maps"
	"slices"
	"strings"

	"github.com/postdate/postdate"
)

// preset is what is known of a sender.
type preset struct {
	// schemes are the ways in which it may sign: one is enough.
	schemes []postdate.SignatureScheme
	// deduplicate is what identifies its messages. Nil: nothing that can be relied on.
	deduplicate []postdate.Locator
	// typeRule is where the type of its messages comes from.
	typeRule postdate.TypeRule
	// jsonOnly: it sends nothing but JSON objects.
	jsonOnly bool
	// learns: its secret is made by itself, and comes with its first handshake.
	learns bool
}

func header(name string) postdate.Locator  { return postdate.Locator{Header: name} }
func pointer(path string) postdate.Locator { return postdate.Locator{Pointer: path} }

// standardWebhooks are the schemes of Standard Webhooks, whose headers have one of two
// beginnings.
func standardWebhooks(prefix string) []postdate.SignatureScheme {
	scheme := postdate.SignatureScheme{
		Algorithm: postdate.HMACSHA256, Header: prefix + "signature", Separator: " ", Prefix: "v1,", Encoding: postdate.Base64,
		Key: postdate.WebhookSecret, Signed: "{id}.{timestamp}.{body}", IDHeader: prefix + "id",
		Timestamp: &postdate.TimestampRule{Header: prefix + "timestamp"},
	}
	asymmetric := scheme
	asymmetric.Algorithm, asymmetric.Prefix, asymmetric.Key = postdate.Ed25519Signature, "v1a,", postdate.WebhookKey
	return []postdate.SignatureScheme{scheme, asymmetric}
}

// bodyHMAC is the scheme of those who sign the body alone.
func bodyHMAC(header, prefix string, encoding postdate.Encoding) postdate.SignatureScheme {
	return postdate.SignatureScheme{Algorithm: postdate.HMACSHA256, Header: header, Prefix: prefix, Encoding: encoding}
}

// twilio is the scheme of Twilio, which signs the URL and what is in a form.
func twilio(algorithm postdate.Algorithm) postdate.SignatureScheme {
	return postdate.SignatureScheme{
		Algorithm: algorithm, Header: "X-Twilio-Signature", Encoding: postdate.Base64, Signed: "{url}{form}", BodyHash: "bodySHA256",
	}
}

var presets = map[string]preset{
	"standard_webhooks": {
		schemes:     append(standardWebhooks("webhook-"), standardWebhooks("svix-")...),
		deduplicate: nil, // by either header: see [Deduplicate]
		typeRule:    postdate.TypeRule{Locator: pointer("/type"), Value: "webhook.received"},
	},
	"github": {
		schemes:     []postdate.SignatureScheme{bodyHMAC("X-Hub-Signature-256", "sha256=", postdate.Hex)},
		deduplicate: []postdate.Locator{header("X-GitHub-Delivery")},
		typeRule:    postdate.TypeRule{Prefix: "github.", Locator: header("X-GitHub-Event")},
	},
	"stripe": {
		schemes: []postdate.SignatureScheme{{
			Algorithm: postdate.HMACSHA256, Header: "Stripe-Signature", Separator: ",", Prefix: "v1=", Encoding: postdate.Hex,
			Signed: "{timestamp}.{body}", Timestamp: &postdate.TimestampRule{Prefix: "t="},
		}},
		deduplicate: []postdate.Locator{pointer("/id")},
		typeRule:    postdate.TypeRule{Prefix: "stripe.", Locator: pointer("/type")},
	},
	"slack": {
		schemes: []postdate.SignatureScheme{{
			Algorithm: postdate.HMACSHA256, Header: "X-Slack-Signature", Prefix: "v0=", Encoding: postdate.Hex,
			Signed: "v0:{timestamp}:{body}", Timestamp: &postdate.TimestampRule{Header: "X-Slack-Request-Timestamp"},
		}},
		deduplicate: []postdate.Locator{pointer("/event_id")},
		typeRule:    postdate.TypeRule{Prefix: "slack.", Locator: pointer("/event/type")},
	},
	"shopify": {
		schemes:     []postdate.SignatureScheme{bodyHMAC("X-Shopify-Hmac-Sha256", "", postdate.Base64)},
		deduplicate: []postdate.Locator{header("X-Shopify-Webhook-Id")},
		typeRule:    postdate.TypeRule{Prefix: "shopify.", Locator: header("X-Shopify-Topic")},
	},
	"twilio": {
		schemes:     []postdate.SignatureScheme{twilio(postdate.HMACSHA1), twilio(postdate.HMACSHA256)}, // by a shared key
		deduplicate: []postdate.Locator{header("I-Twilio-Idempotency-Token")},
		typeRule:    postdate.TypeRule{Prefix: "twilio."},
	},
	"linear": {
		schemes: []postdate.SignatureScheme{{
			Algorithm: postdate.HMACSHA256, Header: "Linear-Signature", Encoding: postdate.Hex,
			Timestamp: &postdate.TimestampRule{Pointer: "/webhookTimestamp", Format: postdate.UnixMillis},
		}},
		deduplicate: []postdate.Locator{header("Linear-Delivery")},
		typeRule:    postdate.TypeRule{Prefix: "linear.", Locator: header("Linear-Event")},
	},
	"zendesk": {
		schemes: []postdate.SignatureScheme{{
			Algorithm: postdate.HMACSHA256, Header: "X-Zendesk-Webhook-Signature", Encoding: postdate.Base64, Signed: "{timestamp}{body}",
			Timestamp: &postdate.TimestampRule{Header: "X-Zendesk-Webhook-Signature-Timestamp", Format: postdate.RFC3339},
		}},
		deduplicate: []postdate.Locator{header("X-Zendesk-Webhook-Invocation-Id")},
		typeRule:    postdate.TypeRule{Prefix: "zendesk.", Locator: pointer("/type")},
	},
	"gitlab": {
		schemes:     []postdate.SignatureScheme{{Algorithm: postdate.SharedToken, Header: "X-Gitlab-Token"}},
		deduplicate: []postdate.Locator{header("Idempotency-Key")},
		typeRule:    postdate.TypeRule{Prefix: "gitlab.", Locator: header("X-Gitlab-Event")},
	},
	"discord": {
		schemes: []postdate.SignatureScheme{{
			Algorithm: postdate.Ed25519Signature, Header: "X-Signature-Ed25519", Encoding: postdate.Hex, Key: postdate.Hex,
			Signed: "{timestamp}{body}", Timestamp: &postdate.TimestampRule{Header: "X-Signature-Timestamp"},
		}},
		deduplicate: []postdate.Locator{pointer("/id")},
		typeRule:    postdate.TypeRule{Prefix: "discord.", Locator: pointer("/event/type")},
	},
	"meta": {
		schemes:  []postdate.SignatureScheme{bodyHMAC("X-Hub-Signature-256", "sha256=", postdate.Hex)},
		typeRule: postdate.TypeRule{Prefix: "meta.", Locator: pointer("/object")},
	},
	"microsoft_graph": {
		schemes:  []postdate.SignatureScheme{{Algorithm: postdate.SharedToken, Pointer: "/value/0/clientState"}},
		typeRule: postdate.TypeRule{Prefix: "microsoft_graph.", Locator: pointer("/value/0/changeType")},
	},
	"zoom": {
		schemes: []postdate.SignatureScheme{{
			Algorithm: postdate.HMACSHA256, Header: "X-Zm-Signature", Prefix: "v0=", Encoding: postdate.Hex,
			Signed: "v0:{timestamp}:{body}", Timestamp: &postdate.TimestampRule{Header: "X-Zm-Request-Timestamp"},
		}},
		typeRule: postdate.TypeRule{Prefix: "zoom.", Locator: pointer("/event")},
	},
	"twitter": {
		schemes:  []postdate.SignatureScheme{bodyHMAC("X-Twitter-Webhooks-Signature", "sha256=", postdate.Base64)},
		typeRule: postdate.TypeRule{Prefix: "twitter."},
		jsonOnly: true,
	},
	"asana": {
		schemes:  []postdate.SignatureScheme{bodyHMAC("X-Hook-Signature", "", postdate.Hex)},
		typeRule: postdate.TypeRule{Prefix: "asana."},
		learns:   true,
	},
	"basic":   {schemes: []postdate.SignatureScheme{{Algorithm: postdate.BasicAuth}}},
	"api_key": {schemes: []postdate.SignatureScheme{{Algorithm: postdate.SharedToken}}},
	"none":    {schemes: []postdate.SignatureScheme{{Algorithm: postdate.NoVerification}}},
}

// Presets are the names of all presets, in order.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// Learns reports whether a preset's sender makes the secret itself.
func Learns(preset string) bool { return presets[preset].learns }

// schemesOf are the ways in which what v verifies may be signed.
func schemesOf(v postdate.Verification) ([]postdate.SignatureScheme, error) {
	if v.Scheme != nil {
		return []postdate.SignatureScheme{*v.Scheme}, nil
	}
	known, ok := presets[v.Preset]
	if !ok {
		return nil, postdate.Errorf(postdate.Invalid, "/verify/preset", "%q is none of %s", v.Preset, strings.Join(Presets(), ", "))
	}
	if v.Preset == "api_key" {
		return []postdate.SignatureScheme{{Algorithm: postdate.SharedToken, Header: v.Header}}, nil
	}
	return known.schemes, nil
}

// Check reports the first reason why no request to a source could be verified, or what its
// preset has no use for.
func Check(s postdate.Source) error {
	v := s.Verify
	schemes, err := schemesOf(v)
	if err != nil {
		return err
	}
	none := schemes[0].Algorithm == postdate.NoVerification
	switch {
	case none && len(v.Secrets) > 0:
		return postdate.Errorf(postdate.Invalid, "/verify/secrets", "nothing is verified, so there is no use for secrets")
	case !none && len(v.Secrets) == 0 && !Learns(v.Preset):
		return postdate.Errorf(postdate.Invalid, "/verify/secrets", "a secret is needed")
	case v.Preset == "api_key" && v.Header == "":
		return postdate.Errorf(postdate.Invalid, "/verify/header", "is missing: in which header is the key?")
	case v.Preset != "api_key" && v.Header != "":
		return postdate.Errorf(postdate.Invalid, "/verify/header", `only the preset "api_key" has one: a scheme of your own names its header itself`)
	case v.Token != "" && v.Preset != "meta":
		return postdate.Errorf(postdate.Invalid, "/verify/token", `only the preset "meta" has one`)
	case v.Tolerance != 0 && !slices.ContainsFunc(schemes, func(s postdate.SignatureScheme) bool { return s.Timestamp != nil }):
		return postdate.Errorf(postdate.Invalid, "/verify/tolerance", "its signatures have no time")
	case v.URL != "" && !strings.Contains(schemes[0].Signed, "{url}"):
		return postdate.Errorf(postdate.Invalid, "/verify/url", "its signatures do not cover the url")
	}
	return checkSecrets(v, schemes)
}

// checkSecrets refuses secrets of which no key can be made.
func checkSecrets(v postdate.Verification, schemes []postdate.SignatureScheme) error {
	for i, secret := range v.Secrets {
		usable := slices.ContainsFunc(schemes, func(s postdate.SignatureScheme) bool {
			if s.Algorithm == postdate.BasicAuth {
				return strings.Contains(secret.Reveal(), ":")
			}
			key, ok := keyOf(secret, s.Key)
			return ok && (s.Algorithm != postdate.Ed25519Signature || len(key) == 32)
		})
		if !usable {
			return postdate.Errorf(postdate.Invalid, "/verify/secrets/"+itoa(i), "%s", secretForm(v, schemes[0]))
		}
	}
	return nil
}

func secretForm(v postdate.Verification, s postdate.SignatureScheme) string {
	switch {
	case s.Algorithm == postdate.BasicAuth:
		return "a user name and a password with a colon between"
	case v.Preset == "standard_webhooks":
		return `"whsec_" and base64, or "whpk_" and the base64 of a public key`
	case s.Algorithm == postdate.Ed25519Signature:
		return "not a public key of ed25519: 32 bytes, in " + string(s.Key)
	default:
		return "is not " + string(s.Key)
	}
}
