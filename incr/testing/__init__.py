"""What a test says about a program that is built on incr: what ran, and what a crash would leave of its files.

Law: an incremental program is right only if its answers are right *and* nothing ran that did not have to; so a test
asserts what ran, then the value. Calls are named as a reader would write them: ``words('a')``.
"""

from incr.testing._disk import Crashed, FakeDirectory
from incr.testing._recorder import Recorder, assert_executes

__all__ = ["Crashed", "FakeDirectory", "Recorder", "assert_executes"]
