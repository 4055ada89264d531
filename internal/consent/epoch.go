package consent

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
)

// EpochEntry makes the entry by which a ledger goes on though the newest checkpoint that was signed of it is lost, as
// after a backup was put back; but for its place in the ledger. It says what was lost, for whoever holds that
// checkpoint.
func (a Actor) EpochEntry(lost LedgerRoot, reason string) LedgerEntry {
	body := appendMember([]byte{'{'}, "entry", EpochEntry.String())
	body = appendMember(body, "lost_root", hex.EncodeToString(lost.Root[:]))
	body = strconv.AppendInt(appendName(body, "lost_size"), lost.Size, 10)
	body = append(appendMember(body, "reason", reason), '}')
	ident := append(appendMember([]byte{'{'}, "key", a.Key.String()), '}')
	return LedgerEntry{Organization: a.Organization, Kind: EpochEntry, BodyJSON: body, IdentityJSON: ident}
}

// Epoch is what the body of an EpochEntry says.
type Epoch struct {
	Lost   LedgerRoot
	Reason string
}

// ReadEpoch reads the body of an EpochEntry. The error says that it is none.
func ReadEpoch(body []byte) (Epoch, error) {
	var said struct {
		Entry    string `json:"entry"`
		LostRoot string `json:"lost_root"`
		LostSize int64  `json:"lost_size"`
		Reason   string `json:"reason"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return Epoch{}, err
	}
	root, err := hex.DecodeString(said.LostRoot)
	if err != nil || len(root) != len(LedgerRoot{}.Root) || said.Entry != EpochEntry.String() || said.LostSize <= 0 {
		return Epoch{}, errors.New("it does not say which checkpoint was lost")
	}
	return Epoch{Lost: LedgerRoot{said.LostSize, [32]byte(root)}, Reason: said.Reason}, nil
}
