package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/protocol"
)

// searchAttributes is what lists are asked by, as the engine wants to know it.
func searchAttributes() map[string]enumspb.IndexedValueType {
	attributes := make(map[string]enumspb.IndexedValueType)
	for _, attribute := range protocol.SearchAttributes {
		attributes[attribute.GetName()] = attribute.GetValueType()
	}
	return attributes
}

// registerAttributes registers those search attributes that the namespace does
// not know yet: without them nothing can be accepted.
func registerAttributes(ctx context.Context, temporal client.Client, namespace string) error {
	operator := temporal.OperatorService()
	known, err := operator.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return fmt.Errorf("namespace %q of Temporal: %w", namespace, err)
	}
	missing := searchAttributes()
	for name := range known.GetCustomAttributes() {
		delete(missing, name)
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = operator.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
		Namespace: namespace, SearchAttributes: missing,
	})
	if err != nil {
		var flags strings.Builder
		for name, kind := range missing {
			fmt.Fprintf(&flags, " --name %s --type %s", name, kind)
		}
		return fmt.Errorf("namespace %q lacks search attributes and they cannot be registered from here (%w): "+
			"run temporal operator search-attribute create --namespace %s%s", namespace, err, namespace, flags.String())
	}
	return awaitAttributes(ctx, temporal, namespace)
}

const (
	// attributesTimeout bounds how long Temporal takes to notice what was registered.
	attributesTimeout = time.Minute
	// attributesChecks is how often in a row it must have: each of its servers notices by
	// itself.
	attributesChecks = 10
)

// awaitAttributes waits until Temporal knows the search attributes that were registered.
// What is accepted before fails.
func awaitAttributes(ctx context.Context, temporal client.Client, namespace string) error {
	ctx, stop := context.WithTimeout(ctx, attributesTimeout)
	defer stop()
	conditions := make([]string, 0, len(protocol.SearchAttributes))
	for _, attribute := range protocol.SearchAttributes {
		conditions = append(conditions, attribute.GetName()+" IS NULL")
	}
	query := "WorkflowId = 'none' AND " + strings.Join(conditions, " AND ")
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for known := 0; known < attributesChecks; {
		_, err := temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace, Query: query})
		if known++; err != nil {
			known = 0
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("namespace %q does not know the search attributes that were registered (%w): %w", namespace, ctx.Err(), err)
		case <-again.C:
		}
	}
	return nil
}
