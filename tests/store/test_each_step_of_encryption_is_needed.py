"""Each check, order and binding of encrypted files, left out once: some test sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from incr import IncrError
from mutants import Mutant, function_of, mutated, run

MUTANTS = [
    Mutant(
        "a nonce is made of the place",
        "cipher",
        "nonce = self._random(_NONCE_BYTES)",
        "nonce = at.to_bytes(_NONCE_BYTES, 'little')",
        "files:random_bytes_are_used_once",
    ),
    Mutant(
        "all files have the same keys",
        "cipher",
        "salt = self._random(_SALT_BYTES)",
        "salt = bytes(_SALT_BYTES)",
        "files:each_file_has_keys_of_its_own",
    ),
    Mutant(
        "the key is not checked",
        "cipher",
        "if not compare_digest(keys.check, check):",
        "if False:",
        "files:keys_that_are_wrong_short_or_useless",
    ),
    Mutant(
        "the header need not prove itself",
        "cipher",
        "if not compare_digest(keys.header_code(data[:_CODE_AT]), data[_CODE_AT:CIPHER_HEADER_BYTES]):",
        "if False:",
        "files:a_file_whose_header_was_never_on_the_disk_is_empty",
    ),
    Mutant(
        "a record is not bound to its place and its header",
        "cipher",
        'if not compare_digest(self._code(b"incr record", _PLACE.pack(at) + data[: _RECORD.size]), code):',
        "if False:",
        "files:what_does_not_prove_itself_is_not_given_out",
    ),
    Mutant(
        "content that was changed is given out",
        "cipher",
        "        except InvalidTag:\n            return None",
        "        except InvalidTag:\n            return sealed[:-16]",
        "files:what_does_not_prove_itself_is_not_given_out",
    ),
    Mutant(
        "plain files are damaged ones",
        "cipher",
        "if data.startswith(_PLAIN):",
        "if False:",
        "logs:a_wrong_key_and_a_missing_one_are_errors_of_their_own",
    ),
    Mutant(
        "an encrypted file is a damaged one",
        "layout",
        "if found_magic == ENCRYPTED_MAGIC:",
        "if False:",
        "logs:a_wrong_key_and_a_missing_one_are_errors_of_their_own",
    ),
    Mutant(
        "records need not follow each other",
        "encrypted",
        "elif header.link != last.code:",
        "elif False:",
        "files:what_a_cut_has_left_behind_is_not_read",
    ),
    Mutant(
        "a gap may hide a change",
        "encrypted",
        "if header.kind == REWRITE or header.changes != records.changes:",
        "if False:",
        "files:nothing_older_shows_up_where_something_was_written_over",
    ),
    Mutant(
        "what is older than a gap is read",
        "encrypted",
        "if header.kind != SIZE and header.offset < records.size:",
        "if False:",
        "files:a_record_that_is_older_than_the_gap_before_it_is_not_read",
    ),
    Mutant(
        "what is behind a damaged record is not looked for",
        "encrypted",
        "found = self._search(keys, at + 1)",
        "found = None",
        "logs:every_flipped_bit_is_found",
    ),
    Mutant(
        "a record that is being written is a gap",
        "encrypted",
        "header = keys.unpack(at, _read_at(self._file, RECORD_HEADER_BYTES, at))\n                if",
        "header = None\n                if",
        "files:a_record_that_is_being_written_while_a_reader_looks_is_no_gap",
    ),
    Mutant(
        "unknown bytes are zeros",
        "encrypted",
        "return _UNKNOWN * (record.end - record.start)",
        "return bytes(record.end - record.start)",
        "files:damage_that_comes_while_a_file_is_open",
    ),
    Mutant(
        "a header is not on the disk before what follows it",
        "encrypted",
        "self._file.sync()\n            self._keys = keys",
        "self._keys = keys",
        "logs:every_crash_of_short_workloads",
    ),
    Mutant(
        "a file that was torn is not cut before it is written to",
        "encrypted",
        "elif not self._behind_is_clean:",
        "elif False:",
        "files:a_torn_tail_goes_before_something_is_written",
    ),
    Mutant(
        "a cut does not make the file shorter",
        "encrypted",
        "self._records.drop_behind(size)\n                self._file.truncate(self._records.last.behind)",
        "pass",
        "files:a_full_disk_does_not_keep_a_file_from_being_cut",
    ),
    Mutant(
        "a file need not prove its name",
        "encrypted",
        "if keys.name_code(self._name) == first:",
        "if True:",
        "files:a_renamed_file_says_so_unless_it_was_renamed_here",
    ),
    Mutant(
        "a new name is not on the disk before the file has it",
        "encrypted",
        "self._records.size)])\n                self._file.sync_data()",
        "self._records.size)])",
        "files:a_crash_while_a_file_gets_its_name",
    ),
    Mutant(
        "how long a gap is is not said",
        "encrypted",
        "or self._records.last.kind == GAP:",
        "or False:",
        "files:what_does_not_prove_itself_is_not_given_out",
    ),
    Mutant(
        "a rename is forgotten by a cut",
        "records",
        "self.listed[count - 1].kind in (APPEND, GAP) and",
        "self.listed[count - 1].kind != 3 and",
        "files:a_file_that_was_renamed_and_cut_has_its_name",
    ),
]

FILES = {"files": "test_encrypted_files", "logs": "test_encrypted_logs"}


@pytest.mark.spec("crypto.nonce", "crypto.bound", "crypto.damage", "crypto.crash", "crypto.name", "crypto.key")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_step_that_is_left_out_is_missed(mutant: Mutant) -> None:
    kind, _, name = mutant.seen_by.partition(":")
    function = function_of(Path(__file__).with_name(f"{FILES[kind]}.py"), name)
    # The long ones run by themselves anyway.
    if kind == "files":
        run(function)
    with mutated(mutant) as count:
        assert count == 1
        with pytest.raises((AssertionError, IncrError, OSError, pytest.fail.Exception)):
            run(function)
