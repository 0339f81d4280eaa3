from .object_file import open_object as open_object
from .object_lock import read_holder as read_holder
from .opening import is_remote as is_remote
from .opening import open_store as open_store
from .opening import require_local as require_local
from .protocol import Stamp as Stamp
from .protocol import Store as Store
from .records import append_record as append_record
