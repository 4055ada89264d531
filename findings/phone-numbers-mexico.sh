#!/bin/sh
# Finding: to write a number in E.164 does not make one of its two spellings.
#
# Mexico dropped the 1 behind +52 for mobile phones in August 2019. Address books, and services that keep what was once
# registered, go on with +52 1 55 1234 5678. One would expect a library for phone numbers to give both the same E.164.
# It gives each its own, without an error; only a question that is not part of it (is the number valid?) tells.
# A consent that is filed by E.164 is then another person's: a no by one spelling is not found by the other.
#
# Seen with github.com/nyaruka/phonenumbers v1.8.1 (Go) and google-libphonenumber 3.2.42 (npm):
#   +5215512345678 -> +5215512345678 valid false
#   +525512345678 -> +525512345678 valid true
#
# Needs Go and npm, and installs both packages into a temporary folder. Ends with 1 where this has changed.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

cat >expected <<'END'
+5215512345678 -> +5215512345678 valid false
+525512345678 -> +525512345678 valid true
END

mkdir go && cd go
cat >go.mod <<'END'
module finding

go 1.25
END
cat >main.go <<'END'
package main

import (
	"fmt"

	"github.com/nyaruka/phonenumbers"
)

func main() {
	for _, given := range []string{"+5215512345678", "+525512345678"} {
		n, err := phonenumbers.Parse(given, "")
		if err != nil {
			panic(err)
		}
		fmt.Println(given, "->", phonenumbers.Format(n, phonenumbers.E164), "valid", phonenumbers.IsValidNumber(n))
	}
}
END
go get github.com/nyaruka/phonenumbers@v1.8.1 2>log || { cat log; exit 1; }
go run . >../go.out
cd ..

mkdir node && cd node
npm init -y >log
npm install --no-audit --no-fund google-libphonenumber@3.2.42 >log 2>&1 || { cat log; exit 1; }
cat >main.js <<'END'
const phone = require('google-libphonenumber')
const util = phone.PhoneNumberUtil.getInstance()
for (const given of ['+5215512345678', '+525512345678']) {
  const n = util.parse(given, '')
  console.log(given, '->', util.format(n, phone.PhoneNumberFormat.E164), 'valid', util.isValidNumber(n))
}
END
node main.js >../node.out
cd ..

diff expected go.out
diff expected node.out
echo "as it was"
