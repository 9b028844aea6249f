// Package receivertest tests a receiver of Standard Webhooks: whether it does the
// work on each message once, and answers so that no message is lost. It tests any
// [http.Handler], written with package receiver or not, and says in words what is
// wrong and what helps.
//
// It sends messages that come again, copies at the same time, messages whose work
// fails, panics or outlives its sender, answers that get lost, wrong and old
// signatures, and bodies without end:
//
//	func TestReceiver(t *testing.T) {
//		receivertest.Run(t, func(t *testing.T, step receivertest.Step) receivertest.Receiver {
//			db, secret := openDatabase(t), signature.NewSecret()
//			return receivertest.Receiver{
//				Handler: newHandler(db, secret, step), // its work calls step before it is committed
//				Signer:  secret,
//				Effects: func(id string) int { return countRows(t, db, id) },
//			}
//		})
//	}
//
// It uses the standard library alone.
package receivertest
