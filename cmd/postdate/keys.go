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
		if secret.file == encryptionKeysFile && hasData(dir) {
			return config{}, fmt.Errorf("data folder: %s is missing in %s, and nothing that is kept there can be read without it", encryptionKeysFile, dir)
		}
		var err error
		if *secret.value, err = keep(dir, secret.file, secret.generate); err != nil {
			return config{}, err
		}
	}
	return c, c.validate()
}

// hasData reports whether the engine has kept something in dir, though the keys
// that it was encrypted with are not there.
func hasData(dir string) bool {
	if dir == "" {
		return false
	}
	_, noKeys := os.Stat(filepath.Join(dir, encryptionKeysFile))
	_, noData := os.Stat(filepath.Join(dir, "temporal.db"))
	return errors.Is(noKeys, fs.ErrNotExist) && noData == nil
}

// keep returns what file holds, or what generate returns, kept there from then on.
func keep(dir, file string, generate func() string) (string, error) {
	if dir == "" {
		return generate(), nil
	}
	path := filepath.Join(dir, file)
	kept, err := readKept(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	if err := writeKept(dir, path, generate()); err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	return readKept(path)
}

func readKept(path string) (string, error) {
	kept, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("data folder: %w", err)
	}
	text := strings.TrimSpace(string(kept))
	if text == "" {
		return "", fmt.Errorf("data folder: %s is empty: put back what it held, or move the whole folder away to start over", path)
	}
	return text, nil
}

// writeKept keeps text at path, whole and for good even if power is lost: what
// is accepted next can be read with it alone. Of two processes the first wins.
func writeKept(dir, path, text string) error {
	file, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("make a file: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, written := file.WriteString(text + "\n")
	if err := errors.Join(written, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep it: %w", err)
	}
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keep it: %w", err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}
