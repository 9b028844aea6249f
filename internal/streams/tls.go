package streams

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS is how the broker is known, and how we are known to it.
type TLS struct {
	// CAFile holds the authorities that the broker's certificate is checked by, in PEM.
	// Empty: those of the system.
	CAFile string `json:"ca_file"`
	// CertificateFile and KeyFile are ours, in PEM, where the broker asks for one.
	CertificateFile string `json:"certificate_file"`
	KeyFile         string `json:"key_file"`
	// ServerName is the name in the broker's certificate. Empty: the host's.
	ServerName string `json:"server_name"`

	config *tls.Config
}

// load reads the files.
func (t *TLS) load() error {
	t.config = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		text, err := os.ReadFile(t.CAFile)
		if err != nil {
			return fmt.Errorf("tls: ca_file: %w", err)
		}
		t.config.RootCAs = x509.NewCertPool()
		if !t.config.RootCAs.AppendCertsFromPEM(text) {
			return errors.New("tls: ca_file: holds no certificate in PEM")
		}
	}
	if (t.CertificateFile == "") != (t.KeyFile == "") {
		return errors.New("tls: certificate_file and key_file go together")
	}
	if t.CertificateFile != "" {
		certificate, err := tls.LoadX509KeyPair(t.CertificateFile, t.KeyFile)
		if err != nil {
			return fmt.Errorf("tls: certificate_file: %w", err)
		}
		t.config.Certificates = []tls.Certificate{certificate}
	}
	return nil
}

// Config is t as connections need it, nil without TLS.
func (t *TLS) Config() *tls.Config {
	if t == nil {
		return nil
	}
	return t.config.Clone()
}
