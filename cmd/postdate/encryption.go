package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/codec"
	"github.com/postdate/postdate/protocol"
)

// encryptionCheck finds out whether this process can read what others wrote: a value
// that is sealed in Temporal must open by its keys. It is kept in the memo of an
// execution that sleeps for a hundred years, under the key that encrypts now.
type encryptionCheck struct {
	temporal  client.Client
	converter converter.DataConverter
	keyIDs    []string // ours, the one that encrypts first

	mu      sync.Mutex
	checked time.Time
	err     error
}

const (
	memoCheck  = "check"
	checkValue = "sealed by Postdate"
	// checkEvery is how long an answer holds.
	checkEvery = 10 * time.Second
)

// ensure checks the keys, and seals the value by the key that encrypts now where none is
// there, or where an older key of ours has sealed it.
func (c *encryptionCheck) ensure(ctx context.Context) error {
	sealedBy, err := c.open(ctx)
	if err != nil || sealedBy == c.keyIDs[0] {
		return err
	}
	// The conflict policy replaces the value of an older key.
	_, err = c.temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                       protocol.EncryptionCheckID,
		TaskQueue:                protocol.ControlQueue,
		StartDelay:               postdate.MaxDelay,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
		Memo:                     map[string]any{memoCheck: checkValue},
		StaticSummary:            "which key encrypts what is kept here: it never runs",
	}, protocol.EncryptionCheckWorkflow)
	if err != nil {
		return fmt.Errorf("keep which key encrypts: %w", err)
	}
	return nil
}

// open opens the value, and returns the id of the key that sealed it: none where there
// is no value yet.
func (c *encryptionCheck) open(ctx context.Context) (keyID string, err error) {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, protocol.EncryptionCheckID, "")
	if _, none := errors.AsType[*serviceerror.NotFound](err); none {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read which key encrypts: %w", err)
	}
	payload := described.GetWorkflowExecutionInfo().GetMemo().GetFields()[memoCheck]
	keyID = codec.KeyID(payload)
	var value string
	if err := c.converter.FromPayload(payload, &value); err != nil || value != checkValue {
		return "", fmt.Errorf("what is kept in Temporal was encrypted with the key %q, which this process cannot use (it has %q): "+
			"POSTDATE_ENCRYPTION_KEYS must hold that key: %w", keyID, c.keyIDs, err)
	}
	return keyID, nil
}

// ready is the result of a check that is at most ten seconds old.
func (c *encryptionCheck) ready(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= checkEvery {
		_, c.err = c.open(ctx)
		c.checked = now
	}
	return c.err
}
