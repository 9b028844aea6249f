package protocol

import "github.com/postdate/postdate"

// The Updates that Tenant takes for its sources. Each returns a [TenantChanged].
const (
	UpdateCreateSource      = "create_source"       // takes a postdate.Source
	UpdatePatchSource       = "patch_source"        // takes a [PatchSource]
	UpdateDeleteSource      = "delete_source"       // takes an id
	UpdateRotateSourceToken = "rotate_source_token" // takes a [RotateSourceToken]
	UpdateLearnSourceSecret = "learn_source_secret" // takes a [LearnSourceSecret]
)

// PatchSource is a change of a source.
type PatchSource struct {
	ID    string               `json:"id"`
	Patch postdate.SourcePatch `json:"patch"`
}

// RotateSourceToken puts a new token of a source first.
type RotateSourceToken struct {
	ID      string               `json:"id"`
	Token   postdate.SourceToken `json:"token"`
	Overlap postdate.Duration    `json:"overlap"`
}

// LearnSourceSecret gives a source that has no secret the one that its sender made: its
// first handshake tells it.
type LearnSourceSecret struct {
	ID     string          `json:"id"`
	Secret postdate.Secret `json:"secret"`
}
