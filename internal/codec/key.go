package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
)

// format is the first byte of what a key seals. What was sealed years ago must
// open: another layout gets another number.
const format = 1

const (
	saltSize    = 12 // the first half of the random nonce: it chooses the AES key
	gcmOverhead = 12 + 16
	headerSize  = 1 + saltSize
)

var errFormat = errors.New("not in a format that this version knows")

// key seals with XAES-256-GCM (https://c2sp.org/XAES-256-GCM): AES-256-GCM
// under a key derived for each payload from this one and half of a random
// 192-bit nonce. Plain AES-256-GCM with its random 96-bit nonces would be unsafe
// after 2³² payloads (NIST SP 800-38D, 8.3), which a busy instance writes in
// days; this is safe for 2⁸⁰.
//
// Sealed is: format (1 byte), nonce (24), ciphertext, tag (16). The label of the
// format and the key's id are authenticated with it. Nothing else is, for the
// engine carries payloads from one place to another: a memo into a list, an
// input into the next run.
type key struct {
	id      string
	idBytes []byte
	block   cipher.Block // AES-256 under the key itself
	mask    [aes.BlockSize]byte
	bound   []byte // the associated data
}

func newKey(id string, secret []byte) (*key, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("not an AES key: %w", err)
	}
	k := &key{id: id, idBytes: slices.Clip([]byte(id)), block: block, bound: []byte("postdate payload 1\x00" + id)}
	// The mask is the K1 of the specification: L doubled in GF(2¹²⁸).
	block.Encrypt(k.mask[:], k.mask[:])
	carry := k.mask[0] >> 7
	for i := range k.mask[:aes.BlockSize-1] {
		k.mask[i] = k.mask[i]<<1 | k.mask[i+1]>>7
	}
	k.mask[aes.BlockSize-1] = k.mask[aes.BlockSize-1]<<1 ^ carry*0x87
	return k, nil
}

// derive answers AES-256-GCM under the key that salt chooses. It prefixes what
// it seals with the nonce that it draws for it.
func (k *key) derive(salt []byte) (cipher.AEAD, error) {
	var derived [keySize]byte
	for half := range 2 {
		block := derived[half*aes.BlockSize:][:aes.BlockSize]
		block[1], block[2] = byte(half+1), 'X'
		copy(block[4:], salt)
		subtle.XORBytes(block, block, k.mask[:])
		k.block.Encrypt(block, block)
	}
	block, err := aes.NewCipher(derived[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts the plaintext that begins at headerSize of buf, in place where
// buf has room for gcmOverhead bytes more.
func (k *key) seal(buf []byte) ([]byte, error) {
	buf[0] = format
	_, _ = rand.Read(buf[1:headerSize]) // never fails
	gcm, err := k.derive(buf[1:headerSize])
	if err != nil {
		return nil, err
	}
	return gcm.Seal(buf[:headerSize], nil, buf[headerSize:], k.bound), nil //nolint:gosec // it draws the nonce itself
}

// open answers the plaintext of sealed, which it leaves as it is.
func (k *key) open(sealed []byte) ([]byte, error) {
	if len(sealed) < headerSize+gcmOverhead || sealed[0] != format {
		return nil, errFormat
	}
	gcm, err := k.derive(sealed[1:headerSize])
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, nil, sealed[headerSize:], k.bound)
}
