package workflows

import (
	"slices"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// createSource adds a source.
func (c *change) createSource(s postdate.Source) error {
	for i, existing := range c.Sources {
		switch {
		case existing.ID == s.ID && existing.Digest == s.Digest:
			c.result.Source = &c.Sources[i]
			return nil
		case existing.ID == s.ID:
			return postdate.Errorf(postdate.Conflict, "/id", "another source has this id")
		}
	}
	c.Sources = append(slices.Clone(c.Sources), s)
	c.result.Created = true
	return c.markSource(len(c.Sources) - 1)
}

// patchSource changes a source.
func (c *change) patchSource(in protocol.PatchSource) error {
	i, err := c.findSource(in.ID)
	if err != nil {
		return err
	}
	c.Sources = slices.Clone(c.Sources)
	c.Sources[i] = in.Patch.Apply(c.Sources[i])
	return c.markSource(i)
}

// deleteSource removes a source. What it has accepted goes on.
func (c *change) deleteSource(id string) error {
	i, err := c.findSource(id)
	if err != nil {
		return err
	}
	deleted := c.Sources[i]
	c.result.Source = &deleted
	c.Sources = slices.Delete(slices.Clone(c.Sources), i, i+1)
	c.markChanged()
	return nil
}

// rotateSourceToken puts a new token first.
func (c *change) rotateSourceToken(in protocol.RotateSourceToken) error {
	i, err := c.findSource(in.ID)
	if err != nil {
		return err
	}
	if c.Sources[i].Tokens[0].Hash == in.Token.Hash { // by this very request
		c.result.Source = &c.Sources[i]
		return nil
	}
	c.Sources = slices.Clone(c.Sources)
	c.Sources[i].Tokens = postdate.RotateTokens(c.Sources[i].Tokens, in.Token, c.now, in.Overlap.Duration())
	return c.markSource(i)
}

// learnSourceSecret gives a source its secret, unless it has one.
func (c *change) learnSourceSecret(in protocol.LearnSourceSecret) error {
	i, err := c.findSource(in.ID)
	if err != nil {
		return err
	}
	if secrets := c.Sources[i].Verify.Secrets; len(secrets) > 0 {
		if secrets[0] != in.Secret {
			return postdate.Errorf(postdate.Conflict, "/secret", "this source has a secret already")
		}
		c.result.Source = &c.Sources[i]
		return nil
	}
	c.Sources = slices.Clone(c.Sources)
	c.Sources[i].Verify.Secrets = []postdate.Secret{in.Secret}
	return c.markSource(i)
}

func (c *change) findSource(id string) (int, error) {
	i := slices.IndexFunc(c.Sources, func(s postdate.Source) bool { return s.ID == id })
	if i < 0 {
		return 0, postdate.Errorf(postdate.NotFound, "", "no source %s", id)
	}
	return i, nil
}

// markSource marks a source as updated.
func (c *change) markSource(i int) error {
	c.Sources[i].UpdatedAt = c.now
	c.markChanged()
	c.needsLimitCheck, c.result.Source = true, &c.Sources[i]
	if len(c.Sources) > postdate.MaxSources {
		return postdate.Errorf(postdate.Invalid, "", "a tenant has at most %d sources", postdate.MaxSources)
	}
	return nil
}
