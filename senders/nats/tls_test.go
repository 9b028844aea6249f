package nats_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/streams"
	sender "github.com/postdate/postdate/senders/nats"
)

// authority signs certificates, and keeps them as files.
type authority struct {
	t      *testing.T
	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	file   string
	serial int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, folder: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.file, _ = a.sign("authority", template)
	return a
}

// issue issues a certificate for a name.
func (a *authority) issue(name string, usage x509.ExtKeyUsage) (certificate, key string) {
	a.t.Helper()
	return a.sign(name, &x509.Certificate{
		SerialNumber: big.NewInt(2 + a.serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	})
}

func (a *authority) sign(name string, template *x509.Certificate) (certificate, key string) {
	a.t.Helper()
	a.serial++
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, private
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	require.NoError(a.t, err)
	if a.cert == nil {
		a.cert, err = x509.ParseCertificate(signed)
		require.NoError(a.t, err)
		a.key = private
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(a.t, err)
	certificate, key = filepath.Join(a.folder, name+".pem"), filepath.Join(a.folder, name+".key")
	require.NoError(a.t, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), 0o600))
	require.NoError(a.t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600))
	return certificate, key
}

// TestMutualTLS has a broker that wants to know who connects, and is known itself by an
// authority of ours.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	certificate, key := ours.issue("nats.test", x509.ExtKeyUsageServerAuth)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	require.NoError(t, err)
	trusted := x509.NewCertPool()
	trusted.AddCert(ours.cert)
	broker, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, TLS: true, TLSVerify: true, TLSTimeout: 5,
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
		},
	})
	require.NoError(t, err)
	broker.Start()
	t.Cleanup(func() { broker.Shutdown(); broker.WaitForShutdown() })
	require.True(t, broker.ReadyForConnections(20*time.Second))
	mine, mineKey := ours.issue("postdate", x509.ExtKeyUsageClientAuth)
	theirs, theirsKey := others.issue("postdate", x509.ExtKeyUsageClientAuth)
	tlsOf := func(authority, certificate, key, name string) string {
		text, err := json.Marshal(map[string]string{"ca_file": authority, "certificate_file": certificate, "key_file": key, "server_name": name})
		require.NoError(t, err)
		return string(text)
	}
	open := func(config string) streams.Broker {
		configs, err := streams.Parse(fmt.Sprintf(`[{"name":"a","url":"tls://%s","stream":"S","subject":"s","tenants":["*"],"tls":%s}]`, broker.Addr(), config))
		require.NoError(t, err)
		b, err := sender.Open(configs[0])
		require.NoError(t, err)
		t.Cleanup(b.Close)
		return b
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()

	config := tlsOf(ours.file, mine, mineKey, "nats.test")
	configs, err := streams.Parse(fmt.Sprintf(`[{"name":"a","url":"tls://%s","stream":"S","subject":"s","tenants":["*"],"tls":%s}]`, broker.Addr(), config))
	require.NoError(t, err)
	options := sender.Options(configs[0])
	conn, err := options.Connect()
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	require.NoError(t, conn.Publish(nats.NewInbox(), nil))
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)

	stored, err := open(config).Publish(ctx, streams.Record{ID: "1", MessageID: "1", Body: []byte(`{}`)})
	require.NoError(t, err)
	require.Equal(t, "stream S, sequence 1", stored)
	for name, test := range map[string]struct{ config, reason string }{
		"an authority that is not ours": {tlsOf(others.file, mine, mineKey, "nats.test"), "certificate signed by unknown authority"},
		"another name":                  {tlsOf(ours.file, mine, mineKey, "other.test"), "not other.test"},
		"without a certificate":         {tlsOf(ours.file, "", "", "nats.test"), "certificate"},
		"one of another authority":      {tlsOf(ours.file, theirs, theirsKey, "nats.test"), "certificate"},
	} {
		b := open(test.config)
		eventually.True(t, func() bool { // in words, once a broker has refused what is made again
			_, err := b.Publish(ctx, streams.Record{ID: "2", MessageID: "2", Body: []byte(`{}`)})
			require.Error(t, err, name)
			return strings.Contains(err.Error(), test.reason)
		}, name)
	}
}
