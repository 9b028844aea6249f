package workflows

import (
	"slices"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

func (d *change) rotateSecret(in protocol.RotateSecret) error {
	if in.Secret == "" {
		return postdate.Errorf(postdate.Invalid, "/secret", "a secret is needed")
	}
	if in.Endpoint == "" {
		d.rotateOwn(in)
		return nil
	}
	e, err := d.endpoint(in.Endpoint)
	if err != nil || newestSecret(e.Secrets) == in.Secret || in.Ensure && len(e.Secrets) > 0 {
		return err
	}
	e.Secrets = e.Secrets.Rotate(in.Secret, d.now, in.Overlap.Duration())
	d.markUpdated(e)
	d.needsLimitCheck = true
	return nil
}

// rotateOwn puts a new secret first among those for bare urls.
func (d *change) rotateOwn(in protocol.RotateSecret) {
	before := d.Secrets
	if len(before) == 0 && in.Before != "" {
		before = postdate.ExpiringSecrets{{Secret: in.Before}}
	}
	if newestSecret(before) != in.Secret && (!in.Ensure || len(before) == 0) {
		d.Secrets = before.Rotate(in.Secret, d.now, in.Overlap.Duration())
		d.markChanged()
		d.needsLimitCheck = true
	}
	d.result.Secret = newestSecret(d.Secrets)
}

// newestSecret is the secret that was rotated to last; none where there is none. A
// request that is repeated finds its own there.
func newestSecret(all postdate.ExpiringSecrets) postdate.Secret {
	if len(all) == 0 {
		return ""
	}
	return all[0].Secret
}

func (d *change) createKey(key postdate.Key) error {
	for i, taken := range d.Keys {
		switch {
		case taken.ID == key.ID && taken.Hash == key.Hash:
			d.result.Key = &d.Keys[i]
			return nil
		case taken.ID == key.ID:
			return postdate.Errorf(postdate.Conflict, "/id", "another key has this id")
		}
	}
	if key.CreatedAt.IsZero() {
		key.CreatedAt = d.now
	}
	d.Keys = append(d.Keys, key)
	d.markChanged()
	d.needsLimitCheck, d.result.Created, d.result.Key = true, true, &d.Keys[len(d.Keys)-1]
	return nil
}

func (d *change) revokeKey(id string) error {
	i := slices.IndexFunc(d.Keys, func(k postdate.Key) bool { return k.ID == id })
	if i < 0 {
		return postdate.Errorf(postdate.NotFound, "", "no key %s", id)
	}
	revoked := d.Keys[i]
	d.result.Key = &revoked
	d.Keys = slices.Delete(d.Keys, i, i+1)
	d.markChanged()
	return nil
}
