package workflows

import (
	"slices"

	"github.com/postdate/postdate"
)

// RotateSecret puts a new secret first: an endpoint's, or the tenant's for bare
// urls where Endpoint is empty.
type RotateSecret struct {
	Endpoint string            `json:"endpoint,omitempty"`
	Secret   postdate.Secret   `json:"secret"`
	Overlap  postdate.Duration `json:"overlap"`
	// Ensure keeps the one that there is, if there is one.
	Ensure bool `json:"ensure,omitempty"`
	// Before is the secret that was in force where the tenant has none of its
	// own yet: it goes on for the overlap.
	Before postdate.Secret `json:"before,omitempty"`
}

func (d *draft) rotateSecret(in RotateSecret) error {
	if in.Secret == "" {
		return postdate.Errorf(postdate.Invalid, "/secret", "a secret is needed")
	}
	if in.Endpoint == "" {
		d.rotateOwn(in)
		return nil
	}
	e, err := d.endpoint(in.Endpoint)
	if err != nil || newest(e.Secrets) == in.Secret || in.Ensure && len(e.Secrets) > 0 {
		return err
	}
	e.Secrets = e.Secrets.Rotate(in.Secret, d.now, in.Overlap.Std())
	d.touch(e)
	d.grew = true
	return nil
}

// rotateOwn puts a new secret first among those for bare urls.
func (d *draft) rotateOwn(in RotateSecret) {
	before := d.Secrets
	if len(before) == 0 && in.Before != "" {
		before = postdate.DatedSecrets{{Secret: in.Before}}
	}
	if newest(before) != in.Secret && (!in.Ensure || len(before) == 0) {
		d.Secrets = before.Rotate(in.Secret, d.now, in.Overlap.Std())
		d.change()
		d.grew = true
	}
	d.answer.Secret = newest(d.Secrets)
}

// newest is the secret that was rotated to last; none where there is none. A
// request that is repeated finds its own there.
func newest(all postdate.DatedSecrets) postdate.Secret {
	if len(all) == 0 {
		return ""
	}
	return all[0].Secret
}

func (d *draft) createKey(key postdate.Key) error {
	for i, taken := range d.Keys {
		switch {
		case taken.ID == key.ID && taken.Hash == key.Hash:
			d.answer.Key = &d.Keys[i]
			return nil
		case taken.ID == key.ID:
			return postdate.Errorf(postdate.Conflict, "/id", "another key has this id")
		}
	}
	if key.CreatedAt.IsZero() {
		key.CreatedAt = d.now
	}
	d.Keys = append(d.Keys, key)
	d.change()
	d.grew, d.answer.Created, d.answer.Key = true, true, &d.Keys[len(d.Keys)-1]
	return nil
}

func (d *draft) revokeKey(id string) error {
	i := slices.IndexFunc(d.Keys, func(k postdate.Key) bool { return k.ID == id })
	if i < 0 {
		return postdate.Errorf(postdate.NotFound, "", "no key %s", id)
	}
	revoked := d.Keys[i]
	d.answer.Key = &revoked
	d.Keys = slices.Delete(d.Keys, i, i+1)
	d.change()
	return nil
}
