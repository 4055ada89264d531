package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"

	"golang.org/x/mod/sumdb/note"

	"github.com/consentd/consentd/ledger"
)

// Verify a proof that a server gave, with the ledger's public key that was noted down before.
func Example() {
	const origin = "consentd.example/0198c0de-0000-7000-8000-000000000001"
	key, err := ledger.NewVerifier(origin + "+ef2f213e+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4")
	if err != nil {
		log.Fatal(err)
	}
	content, err := os.ReadFile("testdata/proof.json")
	if err != nil {
		log.Fatal(err)
	}
	var proof ledger.Proof
	if err := json.Unmarshal(content, &proof); err != nil {
		log.Fatal(err)
	}
	err = proof.Verify(origin, note.VerifierList(key))
	fmt.Printf("entry %d of %d: %v\n", proof.Index, proof.Size, err)

	proof.Leaf[100]++ // what was committed to would be another text
	err = proof.Verify(origin, note.VerifierList(key))
	fmt.Println(errors.Is(err, ledger.ErrNotIncluded), err)
	// Output:
	// entry 5 of 11: <nil>
	// true not proved to be in the ledger: its hashes do not lead from entry 5 to the checkpoint's root
}
