package workflows

import (
	"slices"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

func (c *change) rotateSecret(in protocol.RotateSecret) error {
	if in.Secret == "" {
		return postdate.Errorf(postdate.Invalid, "/secret", "a secret is needed")
	}
	if in.Endpoint == "" {
		c.rotateOwn(in)
		return nil
	}
	e, err := c.endpoint(in.Endpoint)
	if err != nil || newestSecret(e.Secrets) == in.Secret || in.Ensure && len(e.Secrets) > 0 {
		return err
	}
	e.Secrets = e.Secrets.Rotate(in.Secret, c.now, in.Overlap.Duration())
	c.markUpdated(e)
	c.needsLimitCheck = true
	return nil
}

// rotateOwn puts a new secret first among the tenant's own, which sign to bare urls.
func (c *change) rotateOwn(in protocol.RotateSecret) {
	before := c.Secrets
	if len(before) == 0 && in.Before != "" {
		before = postdate.ExpiringSecrets{{Secret: in.Before}}
	}
	if newestSecret(before) != in.Secret && (!in.Ensure || len(before) == 0) {
		c.Secrets = before.Rotate(in.Secret, c.now, in.Overlap.Duration())
		c.markChanged()
		c.needsLimitCheck = true
	}
	c.result.Secret = newestSecret(c.Secrets)
}

// newestSecret is the secret that was rotated to last: empty where there is none. A
// repeated request finds its own there.
func newestSecret(secrets postdate.ExpiringSecrets) postdate.Secret {
	if len(secrets) == 0 {
		return ""
	}
	return secrets[0].Secret
}

func (c *change) createKey(key postdate.Key) error {
	for i, existing := range c.Keys {
		switch {
		case existing.ID == key.ID && existing.Hash == key.Hash:
			c.result.Key = &c.Keys[i]
			return nil
		case existing.ID == key.ID:
			return postdate.Errorf(postdate.Conflict, "/id", "another key has this id")
		}
	}
	if key.CreatedAt.IsZero() {
		key.CreatedAt = c.now
	}
	c.Keys = append(c.Keys, key)
	c.markChanged()
	c.needsLimitCheck, c.result.Created, c.result.Key = true, true, &c.Keys[len(c.Keys)-1]
	return nil
}

func (c *change) revokeKey(id string) error {
	i := slices.IndexFunc(c.Keys, func(k postdate.Key) bool { return k.ID == id })
	if i < 0 {
		return postdate.Errorf(postdate.NotFound, "", "no key %s", id)
	}
	revoked := c.Keys[i]
	c.result.Key = &revoked
	c.Keys = slices.Delete(c.Keys, i, i+1)
	c.markChanged()
	return nil
}
