BEGIN TRANSACTION;
CREATE TABLE application_versions (
    version_id TEXT NOT NULL PRIMARY KEY,
    version_name TEXT NOT NULL UNIQUE,
    version_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL);
INSERT INTO "application_versions" VALUES('7fb83e9a-2c49-4e61-83e3-0a24cefd577a','1',1700000000000,1700000000000,'review-assistant');
CREATE TABLE dbos_migrations (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO "dbos_migrations" VALUES(125);
CREATE TABLE notifications (
    message_uuid TEXT NOT NULL DEFAULT (hex(randomblob(16))) PRIMARY KEY,
    destination_uuid TEXT NOT NULL,
    topic TEXT,
    message TEXT NOT NULL,
    created_at_epoch_ms INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000), "serialization" TEXT DEFAULT NULL, "consumed" BOOLEAN NOT NULL DEFAULT FALSE, consumed_by_function_id INTEGER,
    FOREIGN KEY (destination_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE "operation_outputs" (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    function_name TEXT NOT NULL DEFAULT '',
    output TEXT,
    error TEXT,
    child_workflow_id TEXT,
    started_at_epoch_ms INTEGER,
    completed_at_epoch_ms INTEGER,
    serialization TEXT,
    application_name TEXT DEFAULT NULL,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    PRIMARY KEY (workflow_uuid, function_id)
);
INSERT INTO "operation_outputs" VALUES('delivery/1/old',1,'engine/standing','{"ok":{"active":[],"reviewed":false}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('delivery/1/old',2,'engine/cancel','{"ok":[]}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('delivery/1/old',3,'engine/start','{"ok":true}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',1,'pull','{"ok":{"ref":{"repo":"octo/shop","number":1,"repo_id":1,"installation":1},"title":"patch","body":"","author":"","base_ref":"","base_sha":"","head_sha":"","author_id":0,"author_association":"NONE","author_is_bot":false,"head_repo":"patch","private":true,"draft":false,"closed":false,"merged":false,"locked":false,"archived":false,"labels":[],"url":"","review_comments":0}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',2,'started','{"ok":1}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',3,'policy','{"ok":{"policy":{"triggers":{"opened":true,"pushed":true,"drafts":false,"first_time_contributors":null},"label":"assistant:review","ignore":[],"generated":[],"path_instructions":[],"languages":[],"standards":{"paths":["docs/standards/**","docs/coding-standards*","STYLE*.md","CONTRIBUTING.md"],"conventions":true,"public":[]},"checks":null,"passes":null,"severity":"note","unmute":[],"comments":10,"summary":"on_request","suggestions":true,"tone":"","minimum_permission":"write","budgets":{"dollars":null,"tokens":null,"calls":null,"tool_calls":null,"tool_characters":null,"seconds":null}},"problems":[],"sources":[]}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',4,'change, reading 1','{"ok":1}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',5,'checks','{"ok":{"drafts":[],"rows":[{"path":"check: hygiene","state":"reviewed","reason":"","by":["1 file"]}],"readers":[["app.py",["hygiene"]]]}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',6,'shelf','{"ok":{"shelf":{"repo":"octo/shop","commit":"","documents":[]},"skipped":[],"failed":[],"tampered":[]}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',7,'standards, reading 1','{"ok":1}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',8,'citations','{"ok":{"drafts":[],"standards":[],"rows":[]}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',9,'recalled','{"ok":{"known":[],"others":[],"muted":{},"since":"","seen":{}}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',10,'background','{"ok":{"issues":[],"said":[]}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',11,'find/correctness/1/call-1','{"ok":{"raw":"{\"id\":\"resp_3\",\"object\":\"response\",\"created_at\":1795000000,\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"model\":\"gpt-6.2-sol\",\"output\":[{\"id\":\"rs_3\",\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"sealed-3\"},{\"id\":\"fc_call_1\",\"type\":\"function_call\",\"call_id\":\"call_1\",\"name\":\"read_file\",\"arguments\":\"{\\\"path\\\": \\\"app.py\\\", \\\"side\\\": \\\"head\\\", \\\"start\\\": null, \\\"end\\\": null}\",\"status\":\"completed\"},{\"id\":\"fc_call_2\",\"type\":\"function_call\",\"call_id\":\"call_2\",\"name\":\"list_files\",\"arguments\":\"{\\\"pattern\\\": \\\"*\\\", \\\"side\\\": \\\"head\\\"}\",\"status\":\"completed\"}],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[{\"type\":\"function\",\"name\":\"find_definition\",\"description\":\"Find where a function, type or constant is defined at the head, with its source.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which name.\",\"properties\":{\"symbol\":{\"description\":\"A name, qualified or not: total, Cart.total, Cart::total\",\"type\":\"string\"}},\"required\":[\"symbol\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"get_github_issue\",\"description\":\"Read an issue of this repository: title, body, acceptance points, latest comments.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which issue.\",\"properties\":{\"number\":{\"description\":\"The issue''s number.\",\"maximum\":2147483647,\"minimum\":1,\"type\":\"integer\"}},\"required\":[\"number\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"get_review_threads\",\"description\":\"Read the reviews and comments that already stand on this pull request.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Nothing to choose.\",\"properties\":{},\"type\":\"object\",\"required\":[]},\"strict\":true},{\"type\":\"function\",\"name\":\"list_files\",\"description\":\"List the repository''s files that match a pattern, with their sizes in bytes.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which files.\",\"properties\":{\"pattern\":{\"description\":\"A glob on the whole path; * also crosses folders: src/*test*.py\",\"type\":\"string\"},\"side\":{\"description\":\"head: as the pull request leaves it; base: as it was before.\",\"enum\":[\"head\",\"base\"],\"type\":\"string\"}},\"required\":[\"pattern\",\"side\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"read_file\",\"description\":\"Read up to 400 numbered lines of a file of the repository.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which lines of which file.\",\"properties\":{\"path\":{\"description\":\"Relative to the repository''s root.\",\"type\":\"string\"},\"side\":{\"description\":\"head: as the pull request leaves it; base: as it was before.\",\"enum\":[\"head\",\"base\"],\"type\":\"string\"},\"start\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}],\"description\":\"First line, counted from 1; null: the first.\"},\"end\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}],\"description\":\"Last line, inclusive; null: as far as the bounds allow.\"}},\"required\":[\"path\",\"side\",\"start\",\"end\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"run_checks\",\"description\":\"Run the linters and other checks over one file at the head, changed or not.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which file.\",\"properties\":{\"path\":{\"description\":\"Relative to the repository''s root, at the head.\",\"type\":\"string\"}},\"required\":[\"path\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"search_code\",\"description\":\"Find the lines of the repository that contain an exact text, as path:line: text.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"What to look for, and where.\",\"properties\":{\"text\":{\"description\":\"The exact text, on one line.\",\"type\":\"string\"},\"word\":{\"description\":\"Whether only whole words count.\",\"type\":\"boolean\"},\"side\":{\"description\":\"head: as the pull request leaves it; base: as it was before.\",\"enum\":[\"head\",\"base\"],\"type\":\"string\"},\"folder\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}],\"description\":\"Only files below this folder; null: everywhere.\"}},\"required\":[\"text\",\"word\",\"side\",\"folder\"],\"type\":\"object\"},\"strict\":true}],\"usage\":{\"input_tokens\":3316,\"input_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0},\"output_tokens\":157,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":3473}}","usage":{"calls":1,"input":3316,"cached":0,"written":0,"output":157,"tool_calls":0,"dollars":0.008202,"file_searches":0,"code_runs":0},"seconds":0.170000000000052,"low":false,"lookups":2}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',12,'find/correctness/1/tool-1-1','{"ok":{"text":"error: there is no such file at head; list_files shows what there is"}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',13,'find/correctness/1/tool-1-2','{"ok":{"text":"0 files at head match"}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',14,'find/correctness/1/call-2','{"ok":{"raw":"{\"id\":\"resp_4\",\"object\":\"response\",\"created_at\":1795000000,\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"model\":\"gpt-6.2-sol\",\"output\":[{\"id\":\"rs_4\",\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"sealed-4\"},{\"id\":\"msg_4\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"{\\\"walkthrough\\\": \\\"Adds an average.\\\", \\\"findings\\\": [{\\\"path\\\": \\\"app.py\\\", \\\"side\\\": \\\"RIGHT\\\", \\\"quoted_code\\\": \\\"    return order.total / order.count\\\", \\\"near\\\": 2, \\\"evidence\\\": [\\\"cart.py:5 len(items)\\\"], \\\"category\\\": \\\"correctness\\\", \\\"claim\\\": null, \\\"standard_refs\\\": [], \\\"standard_quote\\\": null, \\\"why\\\": \\\"An empty cart has no items, so the division fails.\\\", \\\"suggestion\\\": null, \\\"title\\\": \\\"It divides by zero\\\", \\\"severity\\\": \\\"error\\\", \\\"confidence\\\": 0.8}]}\",\"annotations\":[],\"logprobs\":[]}],\"status\":\"completed\",\"phase\":\"final_answer\"}],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[{\"type\":\"function\",\"name\":\"find_definition\",\"description\":\"Find where a function, type or constant is defined at the head, with its source.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which name.\",\"properties\":{\"symbol\":{\"description\":\"A name, qualified or not: total, Cart.total, Cart::total\",\"type\":\"string\"}},\"required\":[\"symbol\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"get_github_issue\",\"description\":\"Read an issue of this repository: title, body, acceptance points, latest comments.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which issue.\",\"properties\":{\"number\":{\"description\":\"The issue''s number.\",\"maximum\":2147483647,\"minimum\":1,\"type\":\"integer\"}},\"required\":[\"number\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"get_review_threads\",\"description\":\"Read the reviews and comments that already stand on this pull request.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Nothing to choose.\",\"properties\":{},\"type\":\"object\",\"required\":[]},\"strict\":true},{\"type\":\"function\",\"name\":\"list_files\",\"description\":\"List the repository''s files that match a pattern, with their sizes in bytes.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which files.\",\"properties\":{\"pattern\":{\"description\":\"A glob on the whole path; * also crosses folders: src/*test*.py\",\"type\":\"string\"},\"side\":{\"description\":\"head: as the pull request leaves it; base: as it was before.\",\"enum\":[\"head\",\"base\"],\"type\":\"string\"}},\"required\":[\"pattern\",\"side\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"read_file\",\"description\":\"Read up to 400 numbered lines of a file of the repository.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which lines of which file.\",\"properties\":{\"path\":{\"description\":\"Relative to the repository''s root.\",\"type\":\"string\"},\"side\":{\"description\":\"head: as the pull request leaves it; base: as it was before.\",\"enum\":[\"head\",\"base\"],\"type\":\"string\"},\"start\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}],\"description\":\"First line, counted from 1; null: the first.\"},\"end\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}],\"description\":\"Last line, inclusive; null: as far as the bounds allow.\"}},\"required\":[\"path\",\"side\",\"start\",\"end\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"run_checks\",\"description\":\"Run the linters and other checks over one file at the head, changed or not.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which file.\",\"properties\":{\"path\":{\"description\":\"Relative to the repository''s root, at the head.\",\"type\":\"string\"}},\"required\":[\"path\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"search_code\",\"description\":\"Find the lines of the repository that contain an exact text, as path:line: text.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"What to look for, and where.\",\"properties\":{\"text\":{\"description\":\"The exact text, on one line.\",\"type\":\"string\"},\"word\":{\"description\":\"Whether only whole words count.\",\"type\":\"boolean\"},\"side\":{\"description\":\"head: as the pull request leaves it; base: as it was before.\",\"enum\":[\"head\",\"base\"],\"type\":\"string\"},\"folder\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}],\"description\":\"Only files below this folder; null: everywhere.\"}},\"required\":[\"text\",\"word\",\"side\",\"folder\"],\"type\":\"object\"},\"strict\":true}],\"usage\":{\"input_tokens\":3540,\"input_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0},\"output_tokens\":233,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":3773}}","usage":{"calls":1,"input":3540,"cached":0,"written":0,"output":233,"tool_calls":0,"dollars":0.00941,"file_searches":0,"code_runs":0},"seconds":0.01634362200002215,"low":false,"lookups":0}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',15,'find/security/1/call-1','{"ok":{"raw":"{\"id\":\"resp_7\",\"object\":\"response\",\"created_at\":1795000000,\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,\"model\":\"gpt-6.2-sol\",\"output\":[{\"id\":\"rs_7\",\"type\":\"reasoning\",\"summary\":[],\"encrypted_content\":\"sealed-7\"},{\"id\":\"fc_call_5\",\"type\":\"function_call\",\"call_id\":\"call_5\",\"name\":\"read_file\",\"arguments\":\"{\\\"path\\\": \\\"app.py\\\", \\\"side\\\": \\\"head\\\", \\\"start\\\": null, \\\"end\\\": null}\",\"status\":\"completed\"},{\"id\":\"fc_call_6\",\"type\":\"function_call\",\"call_id\":\"call_6\",\"name\":\"list_files\",\"arguments\":\"{\\\"pattern\\\": \\\"*\\\", \\\"side\\\": \\\"head\\\"}\",\"status\":\"completed\"}],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\",\"tools\":[{\"type\":\"function\",\"name\":\"find_definition\",\"description\":\"Find where a function, type or constant is defined at the head, with its source.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which name.\",\"properties\":{\"symbol\":{\"description\":\"A name, qualified or not: total, Cart.total, Cart::total\",\"type\":\"string\"}},\"required\":[\"symbol\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"get_github_issue\",\"description\":\"Read an issue of this repository: title, body, acceptance points, latest comments.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which issue.\",\"properties\":{\"number\":{\"description\":\"The issue''s number.\",\"maximum\":2147483647,\"minimum\":1,\"type\":\"integer\"}},\"required\":[\"number\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"get_review_threads\",\"description\":\"Read the reviews and comments that already stand on this pull request.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Nothing to choose.\",\"properties\":{},\"type\":\"object\",\"required\":[]},\"strict\":true},{\"type\":\"function\",\"name\":\"list_files\",\"description\":\"List the repository''s files that match a pattern, with their sizes in bytes.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which files.\",\"properties\":{\"pattern\":{\"description\":\"A glob on the whole path; * also crosses folders: src/*test*.py\",\"type\":\"string\"},\"side\":{\"description\":\"head: as the pull request leaves it; base: as it was before.\",\"enum\":[\"head\",\"base\"],\"type\":\"string\"}},\"required\":[\"pattern\",\"side\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"read_file\",\"description\":\"Read up to 400 numbered lines of a file of the repository.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which lines of which file.\",\"properties\":{\"path\":{\"description\":\"Relative to the repository''s root.\",\"type\":\"string\"},\"side\":{\"description\":\"head: as the pull request leaves it; base: as it was before.\",\"enum\":[\"head\",\"base\"],\"type\":\"string\"},\"start\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}],\"description\":\"First line, counted from 1; null: the first.\"},\"end\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}],\"description\":\"Last line, inclusive; null: as far as the bounds allow.\"}},\"required\":[\"path\",\"side\",\"start\",\"end\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"run_checks\",\"description\":\"Run the linters and other checks over one file at the head, changed or not.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"Which file.\",\"properties\":{\"path\":{\"description\":\"Relative to the repository''s root, at the head.\",\"type\":\"string\"}},\"required\":[\"path\"],\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"search_code\",\"description\":\"Find the lines of the repository that contain an exact text, as path:line: text.\",\"parameters\":{\"title\":\"Wanted\",\"additionalProperties\":false,\"description\":\"What to look for, and where.\",\"properties\":{\"text\":{\"description\":\"The exact text, on one line.\",\"type\":\"string\"},\"word\":{\"description\":\"Whether only whole words count.\",\"type\":\"boolean\"},\"side\":{\"description\":\"head: as the pull request leaves it; base: as it was before.\",\"enum\":[\"head\",\"base\"],\"type\":\"string\"},\"folder\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}],\"description\":\"Only files below this folder; null: everywhere.\"}},\"required\":[\"text\",\"word\",\"side\",\"folder\"],\"type\":\"object\"},\"strict\":true}],\"usage\":{\"input_tokens\":3398,\"input_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0},\"output_tokens\":157,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":3555}}","usage":{"calls":1,"input":3398,"cached":0,"written":0,"output":157,"tool_calls":0,"dollars":0.008366,"file_searches":0,"code_runs":0},"seconds":0.012396236999848043,"low":false,"lookups":2}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',17,'find/security/1/tool-1-2','{"ok":{"text":"0 files at head match"}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
INSERT INTO "operation_outputs" VALUES('review/1/1//delivery/1/old',16,'find/security/1/tool-1-1','{"ok":{"text":"error: there is no such file at head; list_files shows what there is"}}',NULL,NULL,1700000000000,1700000000000,'assistant_json','review-assistant',1700000000000);
CREATE TABLE queues (
    queue_id TEXT PRIMARY KEY DEFAULT (hex(randomblob(16))),
    name TEXT NOT NULL UNIQUE,
    concurrency INTEGER,
    worker_concurrency INTEGER,
    rate_limit_max INTEGER,
    rate_limit_period_sec REAL,
    priority_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    partition_queue BOOLEAN NOT NULL DEFAULT FALSE,
    polling_interval_sec REAL NOT NULL DEFAULT 1.0,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL, "partition_concurrency" INTEGER DEFAULT NULL, "partition_worker_concurrency" INTEGER DEFAULT NULL, "partition_rate_limit_max" INTEGER DEFAULT NULL, "partition_rate_limit_period_sec" REAL DEFAULT NULL);
INSERT INTO "queues" VALUES('3D6D85040EF0F0831DDDB8D348F67366','ingest',NULL,20,NULL,NULL,1,1,0.03,1700000000000,1700000000000,'review-assistant',1,NULL,NULL,NULL);
INSERT INTO "queues" VALUES('BC809D45B9E7BEA42168F7EA64D8C443','reviews',NULL,8,NULL,NULL,1,1,0.03,1700000000000,1700000000000,'review-assistant',4,NULL,NULL,NULL);
INSERT INTO "queues" VALUES('466E757F872E23B9C34B17A4BFCB5F09','answers',NULL,8,NULL,NULL,1,1,0.03,1700000000000,1700000000000,'review-assistant',1,NULL,NULL,NULL);
CREATE TABLE streams (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    "offset" INTEGER NOT NULL, function_id INTEGER NOT NULL DEFAULT 0, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key, "offset"),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events_history (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, function_id, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid)
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_input (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    inputs TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_input" VALUES('delivery/1/old','{"args":[{"id":"delivery/1/old","pull":{"repo":"octo/shop","number":1,"repo_id":1,"installation":1},"trigger":"opened","head_sha":"","actor":"","actor_id":0,"actor_is_bot":false,"actor_app":0,"actor_association":"NONE","text":"","comment":0,"thread":"","in_reply_to":0,"seen":null},1,""],"kwargs":{}}',1700000000000);
INSERT INTO "workflow_input" VALUES('review/1/1//delivery/1/old','{"args":[{"id":"delivery/1/old","pull":{"repo":"octo/shop","number":1,"repo_id":1,"installation":1},"trigger":"opened","head_sha":"","actor":"","actor_id":0,"actor_is_bot":false,"actor_app":0,"actor_association":"NONE","text":"","comment":0,"thread":"","in_reply_to":0,"seen":null},1,""],"kwargs":{}}',1700000000000);
CREATE TABLE workflow_output (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    output TEXT,
    error TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_output" VALUES('delivery/1/old','{"end":"done","word":"handed on to review/1/1//delivery/1/old"}',NULL,1700000000000);
CREATE TABLE workflow_schedules (
    schedule_id TEXT PRIMARY KEY,
    schedule_name TEXT NOT NULL UNIQUE,
    workflow_name TEXT NOT NULL,
    workflow_class_name TEXT,
    schedule TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE',
    context TEXT NOT NULL
, "last_fired_at" TEXT DEFAULT NULL, "automatic_backfill" BOOLEAN NOT NULL DEFAULT FALSE, "cron_timezone" TEXT DEFAULT NULL, "queue_name" TEXT DEFAULT NULL, "application_name" TEXT DEFAULT NULL);
CREATE TABLE workflow_status (
    workflow_uuid TEXT PRIMARY KEY,
    status TEXT,
    name TEXT,
    authenticated_user TEXT,
    assumed_role TEXT,
    authenticated_roles TEXT,
    request TEXT,
    output TEXT,
    error TEXT,
    executor_id TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    application_version TEXT,
    application_id TEXT,
    class_name TEXT DEFAULT NULL,
    config_name TEXT DEFAULT NULL,
    recovery_attempts INTEGER DEFAULT 0,
    queue_name TEXT,
    workflow_timeout_ms INTEGER,
    workflow_deadline_epoch_ms INTEGER,
    inputs TEXT,
    started_at_epoch_ms INTEGER,
    deduplication_id TEXT,
    priority INTEGER NOT NULL DEFAULT 0
, queue_partition_key TEXT, forked_from TEXT, "owner_xid" TEXT DEFAULT NULL, "parent_workflow_id" TEXT DEFAULT NULL, "serialization" TEXT DEFAULT NULL, "delay_until_epoch_ms" BIGINT DEFAULT NULL, "was_forked_from" BOOLEAN NOT NULL DEFAULT FALSE, "rate_limited" BOOLEAN NOT NULL DEFAULT FALSE, "completed_at" BIGINT, "attributes" TEXT, "schedule_name" TEXT, "debounce_deadline_epoch_ms" BIGINT DEFAULT NULL, "is_debounced" BOOLEAN NOT NULL DEFAULT FALSE, "application_name" TEXT DEFAULT NULL, "creator_xid" TEXT DEFAULT NULL);
INSERT INTO "workflow_status" VALUES('delivery/1/old','SUCCESS','ingest',NULL,NULL,NULL,NULL,NULL,NULL,'old-worker',1700000000000,1700000000000,'1',NULL,NULL,NULL,1,'ingest',NULL,NULL,NULL,1700000000000,NULL,0,'1/1',NULL,NULL,NULL,'assistant_json',NULL,0,0,1700000000000,'null',NULL,NULL,0,'review-assistant','ee80dd3f-f2c9-4104-a912-62e06d710c09');
INSERT INTO "workflow_status" VALUES('review/1/1//delivery/1/old','PENDING','review',NULL,NULL,NULL,NULL,NULL,NULL,'old-worker',1700000000000,1700000000000,'1',NULL,NULL,NULL,1,'reviews',NULL,NULL,NULL,1700000000000,NULL,0,'1',NULL,'f5f0f8a6-bdb9-47ca-9b93-c58a81847845',NULL,'assistant_json',NULL,0,0,NULL,'null',NULL,NULL,0,'review-assistant','ff666272-36c5-487c-8bf0-148e5629d71e');
CREATE INDEX workflow_status_created_at_index ON workflow_status (created_at);
CREATE INDEX idx_workflow_topic ON notifications (destination_uuid, topic);
CREATE INDEX "idx_workflow_status_delayed" ON "workflow_status" ("delay_until_epoch_ms") WHERE status = 'DELAYED';
CREATE INDEX "idx_workflow_status_forked_from" ON "workflow_status" ("forked_from") WHERE "forked_from" IS NOT NULL;
CREATE INDEX "idx_workflow_status_parent_workflow_id" ON "workflow_status" ("parent_workflow_id") WHERE "parent_workflow_id" IS NOT NULL;
CREATE UNIQUE INDEX "uq_workflow_status_dedup_id" ON "workflow_status" ("queue_name", "deduplication_id") WHERE "deduplication_id" IS NOT NULL;
CREATE INDEX "idx_workflow_status_pending" ON "workflow_status" ("created_at") WHERE "status" = 'PENDING';
CREATE INDEX "idx_workflow_status_failed" ON "workflow_status" ("status", "created_at") WHERE "status" IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
CREATE INDEX "idx_workflow_status_rate_limited" ON "workflow_status" ("queue_name", "started_at_epoch_ms") WHERE "rate_limited" = TRUE;
CREATE INDEX "idx_workflow_status_completed_at" ON "workflow_status" ("completed_at") WHERE "completed_at" IS NOT NULL;
CREATE INDEX "idx_workflow_status_started_at" ON "workflow_status" ("started_at_epoch_ms") WHERE "started_at_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_workflow_status_schedule_name" ON "workflow_status" ("schedule_name") WHERE "schedule_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_owner_version"
    ON application_versions ("application_name", "version_name")
    WHERE "application_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_unclaimed_version"
    ON application_versions ("version_name")
    WHERE "application_name" IS NULL;
CREATE INDEX idx_workflow_input_retention
    ON workflow_input (retention_timestamp);
CREATE INDEX idx_workflow_output_retention
    ON workflow_output (retention_timestamp);
CREATE INDEX idx_operation_outputs_retention
    ON operation_outputs (retention_timestamp);
CREATE INDEX "idx_workflow_status_in_flight_v2" ON "workflow_status" ("queue_name", "status", "priority", "created_at", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING');
CREATE INDEX "idx_workflow_status_partition_dequeue_v3" ON "workflow_status" ("queue_name", "status", "queue_partition_key", "priority", "created_at", "workflow_uuid", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING') AND "queue_partition_key" IS NOT NULL;
CREATE INDEX "idx_operation_outputs_completed_at_function_name_v2" ON "operation_outputs" ("completed_at_epoch_ms", "function_name", "application_name");
CREATE INDEX "idx_workflow_status_deadline" ON "workflow_status" ("workflow_deadline_epoch_ms") WHERE "status" IN ('ENQUEUED', 'PENDING', 'DELAYED') AND "workflow_deadline_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_application_versions_timestamp" ON "application_versions" ("version_timestamp" DESC);
CREATE INDEX "idx_application_versions_owner_timestamp" ON "application_versions" ("application_name", "version_timestamp" DESC);
COMMIT;
