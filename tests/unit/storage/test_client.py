"""What an idle tick must not pay for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ENGINE = Path(__file__).resolve().parents[3] / "module_utils"


def test_a_store_that_sends_nothing_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom checkniner_backups import settings\n"
        "from checkniner_backups.storage import catalog, policy, s3\n"
        "s3.Store(settings.StoreSettings(bucket='b', endpoint_url='http://127.0.0.1:1'))\n"
        "heavy = {'boto3', 'botocore', 's3transfer', 'urllib3', 'urllib.request', 'http.client', 'ssl'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ENGINE, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
