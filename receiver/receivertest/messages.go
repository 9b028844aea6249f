package receivertest

import (
	"fmt"
	"strings"
	"sync"
)

func aMessage(tr *trial) {
	id := newID()
	a := tr.send(tr.request(id))
	if !a.accepted() {
		tr.findf("A rightly signed message was answered %s. Does the handler verify with the secret of Signer, and understand Body?", a)
		return
	}
	if begun, _ := tr.calls(id); begun == 0 {
		tr.findf("The work on a message did not call step. Call it with the message's id, after the effect and before the commit.")
	}
	if n := tr.receiver.Effects(id); n != 1 {
		tr.findf("After a message was accepted, Effects counts %d for it, not 1. Is the work done and committed before the answer?", n)
	}
}

func comesAgain(tr *trial) {
	id := newID()
	for i := range 3 {
		a := tr.send(tr.request(id))
		if i > 0 && !a.accepted() {
			tr.findf("A message that was handled before was answered %s: its sender goes on until it gives up. Answer 2xx to a copy.", a)
			return
		}
	}
	tr.isHandledOnce(id, "the same message came four times")
}

func differentMessages(tr *trial) {
	const many = 10
	ids := make([]string, many)
	var sending sync.WaitGroup
	for i := range ids {
		ids[i] = newID()
		sending.Go(func() { tr.send(tr.request(ids[i])) })
	}
	sending.Wait()
	for _, id := range ids {
		if !tr.isHandledOnce(id, fmt.Sprintf("%d different messages came at the same time, each twice,", many)) {
			return
		}
	}
}

func similarIDs(tr *trial) {
	id := newID()
	long := id + strings.Repeat("x", 127-len(id))
	for what, ids := range map[string][2]string{
		"by upper and lower case":       {id + "_a", id + "_A"},
		"in the last of 128 characters": {long + "1", long + "2"},
		"by a hyphen and a low line":    {id + "-", id + "_"},
	} {
		for _, id := range ids {
			if !tr.deliver(id, "a message came whose id differs from another's only "+what+",") {
				return
			}
			if n := tr.receiver.Effects(id); n != 1 {
				tr.findf("Of two messages whose ids differ only %s, the work on one has taken effect %d times. "+
					"Compare ids byte for byte, in Effects too: by default some databases do not.", what, n)
			}
		}
	}
}
