//! The catalog that is part of the program: the files of `conf/catalog/`.

use super::fault::Faults;
use super::sheet::Sheet;

macro_rules! sheet {
    ($name:literal) => {
        (concat!($name, ".jsonl"), include_str!(concat!("../../conf/catalog/", $name, ".jsonl")))
    };
}

/// Every file, by its path below `conf/catalog/`; a test holds this against the folder.
const FILES: &[(&str, &str)] = &[
    sheet!("models"),
    sheet!("providers/ai21"),
    sheet!("providers/aiand"),
    sheet!("providers/aki-io"),
    sheet!("providers/alibaba"),
    sheet!("providers/alibaba-cn"),
    sheet!("providers/amazon-bedrock"),
    sheet!("providers/amazon-bedrock-mantle"),
    sheet!("providers/ambient"),
    sheet!("providers/amd"),
    sheet!("providers/anthropic"),
    sheet!("providers/arcee"),
    sheet!("providers/azure"),
    sheet!("providers/azure-ai-foundry"),
    sheet!("providers/azure-anthropic"),
    sheet!("providers/azure-cognitive-services"),
    sheet!("providers/azure-cognitive-services-anthropic"),
    sheet!("providers/azure-cognitive-services-models"),
    sheet!("providers/azure-models"),
    sheet!("providers/azure-responses"),
    sheet!("providers/baseten"),
    sheet!("providers/berget"),
    sheet!("providers/cerebras"),
    sheet!("providers/chutes"),
    sheet!("providers/clarifai"),
    sheet!("providers/cloudferro-sherlock"),
    sheet!("providers/cloudflare-workers-ai"),
    sheet!("providers/cohere"),
    sheet!("providers/cohere-compatibility"),
    sheet!("providers/coralbricks"),
    sheet!("providers/crof"),
    sheet!("providers/crusoe"),
    sheet!("providers/databricks"),
    sheet!("providers/deepinfra"),
    sheet!("providers/deepseek"),
    sheet!("providers/digitalocean"),
    sheet!("providers/drun"),
    sheet!("providers/ebcloud"),
    sheet!("providers/evroc"),
    sheet!("providers/fireworks-ai"),
    sheet!("providers/friendli"),
    sheet!("providers/gmicloud"),
    sheet!("providers/google"),
    sheet!("providers/google-vertex"),
    sheet!("providers/google-vertex-anthropic"),
    sheet!("providers/greenpt"),
    sheet!("providers/groq"),
    sheet!("providers/hetzner"),
    sheet!("providers/hpc-ai"),
    sheet!("providers/hyperbolic"),
    sheet!("providers/iflowcn"),
    sheet!("providers/inception"),
    sheet!("providers/inceptron"),
    sheet!("providers/inference"),
    sheet!("providers/inferx"),
    sheet!("providers/infomaniak"),
    sheet!("providers/io-net"),
    sheet!("providers/jalapeno"),
    sheet!("providers/kosmik"),
    sheet!("providers/lambda"),
    sheet!("providers/libertai"),
    sheet!("providers/lilac"),
    sheet!("providers/llama"),
    sheet!("providers/llamagate"),
    sheet!("providers/longcat"),
    sheet!("providers/meta"),
    sheet!("providers/minimax"),
    sheet!("providers/minimax-cn"),
    sheet!("providers/mistral"),
    sheet!("providers/mixlayer"),
    sheet!("providers/moark"),
    sheet!("providers/modal"),
    sheet!("providers/modelscope"),
    sheet!("providers/moonshotai"),
    sheet!("providers/moonshotai-cn"),
    sheet!("providers/morph"),
    sheet!("providers/nearai"),
    sheet!("providers/nebius"),
    sheet!("providers/neuralwatt"),
    sheet!("providers/nova"),
    sheet!("providers/novita-ai"),
    sheet!("providers/nscale"),
    sheet!("providers/nvidia"),
    sheet!("providers/openai"),
    sheet!("providers/openai-responses"),
    sheet!("providers/ovhcloud"),
    sheet!("providers/perplexity"),
    sheet!("providers/poolside"),
    sheet!("providers/publicai"),
    sheet!("providers/regolo-ai"),
    sheet!("providers/runinfra"),
    sheet!("providers/sail"),
    sheet!("providers/sakana"),
    sheet!("providers/sambanova"),
    sheet!("providers/scaleway"),
    sheet!("providers/scx"),
    sheet!("providers/siliconflow"),
    sheet!("providers/siliconflow-cn"),
    sheet!("providers/snowflake-cortex"),
    sheet!("providers/stackit"),
    sheet!("providers/stepfun"),
    sheet!("providers/stepfun-ai"),
    sheet!("providers/streamlake"),
    sheet!("providers/subconscious"),
    sheet!("providers/submodel"),
    sheet!("providers/synthetic"),
    sheet!("providers/tencent-tokenhub"),
    sheet!("providers/tensormesh"),
    sheet!("providers/tensorx"),
    sheet!("providers/thinkingmachines"),
    sheet!("providers/tinfoil"),
    sheet!("providers/togetherai"),
    sheet!("providers/upstage"),
    sheet!("providers/voyage"),
    sheet!("providers/vultr"),
    sheet!("providers/wafer.ai"),
    sheet!("providers/wandb"),
    sheet!("providers/xai"),
    sheet!("providers/xai-responses"),
    sheet!("providers/xiaomi"),
    sheet!("providers/zai"),
    sheet!("providers/zhipuai"),
];

/// Reads the shipped catalog.
pub(super) fn read(faults: &mut Faults) -> Sheet {
    let mut sheet = Sheet::default();
    for (name, text) in FILES {
        sheet.read(name, text, faults);
    }
    sheet
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_part_of_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/catalog/providers");
        let there: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .map(|name| format!("providers/{name}"))
            .collect();
        let here: BTreeSet<String> =
            FILES.iter().skip(1).map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(here, there);
    }
}
