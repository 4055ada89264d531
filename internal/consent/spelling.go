package consent

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// isPrintableASCII tells whether a value has nothing but the characters from space to tilde.
func isPrintableASCII(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return false
		}
	}
	return true
}

// isInvisible tells whether a character shows nothing: Default_Ignorable_Code_Point as DerivedCoreProperties.txt of
// Unicode derives it, and the format characters that are no part of it because some programs do show them.
func isInvisible(r rune) bool {
	const softHyphen = 0xad // the first one
	return r >= softHyphen &&
		unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) &&
		!unicode.In(r, unicode.White_Space, unicode.Prepended_Concatenation_Mark) // the latter are seen, such as U+0600
}

func isBlank(r rune) bool { return unicode.IsSpace(r) || isInvisible(r) }

// isHyphen knows the long-vowel signs too: Japanese keyboards have them where others have the hyphen.
func isHyphen(r rune) bool {
	return unicode.In(r, unicode.Dash, unicode.Hyphen) || r == 'ー' || r == 'ｰ'
}

// narrow gives ASCII for full-width ASCII.
func narrow(r rune) rune {
	if r >= '！' && r <= '～' {
		return r - '！' + '!'
	}
	return r
}

// plainSpace gives U+0020 for any space that is no control character.
func plainSpace(r rune) rune {
	if unicode.IsSpace(r) && !unicode.IsControl(r) {
		return ' '
	}
	return r
}

// phoneSign gives ASCII for what stands in a phone number, and -1 for what is cut out of it.
func phoneSign(r rune) rune {
	r = narrow(r)
	switch {
	case isBlank(r), isHyphen(r):
		return -1
	case r >= utf8.RuneSelf && unicode.IsDigit(r):
		return asciiDigit(r)
	case r == '·': // written as a point
		return '.'
	}
	return r
}

// asciiDigit gives the digit of the same value. Those of a script stand in a row from 0 to 9, and rows may touch.
func asciiDigit(r rune) rune {
	value := rune(0)
	for unicode.IsDigit(r - value - 1) {
		value++
	}
	return '0' + value%10
}

// foldCase makes one of what differs by case, also by way of the other case (final sigma), and of full-width ASCII and
// ASCII: canonical caseless matching with simple folding (The Unicode Standard, 3.13, D145). The result is in NFC.
func foldCase(s string) string {
	if isPrintableASCII(s) {
		return strings.ToLower(s)
	}
	return norm.NFC.String(strings.Map(foldLetter, norm.NFD.String(s)))
}

// foldLetter makes no ASCII of another letter: the long s has S as its upper case and is no s, since who is reached at
// one of the two addresses need not be reached at the other.
func foldLetter(r rune) rune {
	r = narrow(r)
	if folded := unicode.ToLower(unicode.ToUpper(r)); r < utf8.RuneSelf || folded >= utf8.RuneSelf {
		return folded
	}
	return r
}
