package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/postdate/postdate/internal/codec"
	"github.com/postdate/postdate/signature"
)

// The files under --data in which "dev" keeps what it made.
const (
	adminKeyFile       = "admin.key"
	signingSecretFile  = "signing.secret"
	encryptionKeysFile = "encryption.keys"
)

// withSecrets is c with the secrets that the environment left out: those kept in
// dir, or new ones. With an empty dir nothing is kept.
func (c config) withSecrets(dir string) (config, error) {
	for _, secret := range []struct {
		value    *string
		file     string
		generate func() string
	}{
		{&c.AdminKey, adminKeyFile, func() string { return "pd_" + rand.Text() }},
		{&c.SigningSecret, signingSecretFile, func() string { return signature.NewSecret().Reveal() }},
		{&c.EncryptionKeys, encryptionKeysFile, codec.Generate},
	} {
		if *secret.value != "" {
			continue
		}
		var err error
		if *secret.value, err = keep(dir, secret.file, secret.generate); err != nil {
			return config{}, err
		}
	}
	return c, c.validate()
}

// keep answers what file holds, or what generate answers, kept there from then on.
func keep(dir, file string, generate func() string) (string, error) {
	if dir == "" {
		return generate(), nil
	}
	path := filepath.Join(dir, file)
	kept, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(kept)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("data folder: %w", err)
	}
	made := generate()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	if err := os.WriteFile(path, []byte(made+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	return made, nil
}
