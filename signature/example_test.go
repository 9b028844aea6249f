package signature_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/postdate/postdate/signature"
)

// A receiver verifies the bytes that arrived, before it reads anything in them.
func ExampleVerify() {
	secret, err := signature.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Unix(1893456000, 0)
	body := []byte(`{"type":"payment_request.expired","timestamp":"2030-01-01T00:00:00Z","data":{"id":"pr_123"}}`)

	header := http.Header{}
	header.Set(signature.HeaderID, "evt_1")
	header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(signature.HeaderSignature, signature.Sign("evt_1", now, body, secret))

	fmt.Println(signature.Verify(header, body, now, signature.DefaultTolerance, secret))

	err = signature.Verify(header, body, now.Add(time.Hour), signature.DefaultTolerance, secret)
	fmt.Println(errors.Is(err, signature.ErrTooOld), err)
	// Output:
	// <nil>
	// true sent too long ago: 1h0m0s ago, where 5m0s are allowed
}

// A receiver that has the public key only can verify, and cannot sign.
func ExampleVerify_publicKey() {
	key, err := signature.ParseSigningKey("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Unix(1614265330, 0)
	body := []byte(`{"test": 2432232314}`)

	header := http.Header{}
	header.Set(signature.HeaderID, "msg_p5jXN8AQM9LWM0D4loKWxJek")
	header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	header.Set(signature.HeaderSignature, signature.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", now, body, key))

	fmt.Println(key, key.Public())
	fmt.Println(header.Get(signature.HeaderSignature))
	fmt.Println(signature.Verify(header, body, now, signature.DefaultTolerance, key.Public()))
	// Output:
	// whsk_REDACTED whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=
	// v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==
	// <nil>
}
