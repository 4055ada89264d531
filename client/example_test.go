package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/consentd/consentd/client"
)

// connect makes a client of the examples' server; yours has a URL, an organization and a key of its own.
func connect() *client.Client {
	c, err := client.New(client.Config{URL: shop.url, Organization: shop.organization, Key: shop.key})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

func ExampleClient_Regime() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	regime, err := connect().Regime(ctx, client.Place{Country: "DE", At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s since %s: %s\n", regime.Regime, regime.Since, regime.Law)
	// Output: opt-in since 2003-10-31: Directive 2002/58/EC Art. 13, as transposed
}

func ExampleClient_CreateKey() {
	ctx := context.Background()
	c := connect()
	key, err := c.CreateKey(ctx, client.NewKey{Name: "signup form", Scopes: []string{"consents:write"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.Name, key.Scopes, key.Text != "")
	if err := c.RevokeKey(ctx, key.ID); err != nil {
		log.Fatal(err)
	}
	// Output: signup form [consents:write] true
}

func ExampleError() {
	_, err := connect().CreateKey(context.Background(), client.NewKey{Name: "typo", Scopes: []string{"consents:reed"}})
	fmt.Println(client.IsInvalid(err), client.StatusOf(err))
	// Output: true 422
}
